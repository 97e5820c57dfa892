"""A form in Blender's properties: one item a field of `forms.py`, each with a property for every kind of widget."""

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty

from . import forms

# Of what each form asks, by the form's name and the field's. Enum items must stay referenced while Blender shows them.
_FIELDS: dict[str, dict[str, forms.Field]] = {}
_ITEMS: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
_NO_CHOICE = [("", "(none)", "")]


def _touch(self, _context):
    self.touched = True


def _choices(self, _context):
    return _ITEMS.get((self.form, self.name), _NO_CHOICE)


def path_options():
    """`//` paths are drawn as errors from 4.5 on without this word, and older Blenders refuse it."""
    return {"options": {"PATH_SUPPORTS_BLEND_RELATIVE"}} if bpy.app.version >= (4, 5, 0) else {}


class RegenFormField(bpy.types.PropertyGroup):
    """`name` is the param's. Which property counts is told by `kind`."""

    form: StringProperty()
    kind: StringProperty()
    touched: BoolProperty()
    int_value: IntProperty(update=_touch)
    float_value: FloatProperty(update=_touch, precision=4)
    bool_value: BoolProperty(update=_touch)
    text_value: StringProperty(update=_touch)
    path_value: StringProperty(subtype="FILE_PATH", update=_touch, **path_options())
    enum_value: EnumProperty(items=_choices, update=_touch)

    @property
    def field(self):
        return _FIELDS.get(self.form, {}).get(self.name)

    @property
    def widget(self):
        """The name of the property to draw."""
        field = self.field
        if field is None or field.kind == forms.JSON or (field.as_text and field.kind in (forms.INT, forms.FLOAT)):
            return "text_value"
        return f"{field.kind}_value"

    @property
    def value(self):
        return getattr(self, self.widget)


def fill(items, form, fields, values=None):
    """Make a collection of RegenFormField show these fields; values: {name: param}, for those that have one.

    A param that no field describes gets a field for JSON text: it is the recipe's all the same. Where the fields are those that are shown
    already they stay: somebody may be typing in one, and Blender would write into what is no more.
    """
    values, known = dict(values or {}), {field.name for field in fields}
    extra = [forms.Field(name, forms.JSON, title=name, also_text=True) for name in values if name not in known and forms.is_name(name)]
    shown = [_with_value(field, values) for field in (*fields, *extra)]
    _FIELDS[form] = {field.name: field for field in shown}
    for field in shown:
        items_of = [(name, name, "") for name, _value in field.choices]
        # The same ones stay: Blender may be showing them.
        if field.kind == forms.ENUM and _ITEMS.get((form, field.name)) != items_of:
            _ITEMS[form, field.name] = items_of
    if [(item.name, item.kind, item.form) for item in items] != [(field.name, field.kind, form) for field in shown]:
        items.clear()
        for field in shown:
            item = items.add()
            item.name, item.form, item.kind = field.name, form, field.kind
    for item, field in zip(items, shown, strict=True):
        try:
            if item.value != field.shown_default:
                setattr(item, item.widget, field.shown_default)
        except (TypeError, ValueError, OverflowError):
            pass  # a value its own schema does not allow: the widget stays empty, and nothing is set unless the user does
        item.touched = False


def _with_value(field, values):
    if field.name not in values:
        return field
    value = values[field.name]
    if field.kind == forms.INT and isinstance(value, str):
        try:
            value = int(value)
        except ValueError:
            return field._replace(kind=forms.JSON, default=value, also_text=True)
    low, high = forms.INT_RANGE
    if field.kind == forms.INT and isinstance(value, int) and not low <= value <= high:
        field = field._replace(as_text=True)
    if field.kind == forms.ENUM and value not in [meant for _name, meant in field.choices]:
        return field._replace(kind=forms.JSON, default=value, also_text=True, choices=())
    return field._replace(default=value)


def touched_values(items):
    """{name: widget's value} of what the user changed."""
    return {item.name: item.value for item in items if item.touched}


def fields_shown(form):
    return list(_FIELDS.get(form, {}).values())


def touched_params(items, form):
    """{name: param} of what the user changed. forms.FormError where something does not hold."""
    values = touched_values(items)
    fields = [field for field in fields_shown(form) if field.name in values]
    return forms.to_params(fields, values)


def messages_of(items, form):
    """{name: what is wrong} among what the user changed."""
    values = touched_values(items)
    return forms.check([field for field in fields_shown(form) if field.name in values], values)
