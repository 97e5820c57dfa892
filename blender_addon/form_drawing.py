"""Drawing a form. Reads properties and what `check` says, and nothing else."""

from . import form_props, forms

# Params that people turn first stand first.
_FIRST = ("prompt", "negative_prompt", "text", "kind", "seed", "steps", "width", "height")


def draw_form(layout, items, form, *, everything=False):
    """The fields of a form; without `everything` the first eight, and those that were changed or do not hold. How many are hidden."""
    wrong = form_props.messages_of(items, form)
    shown = sorted(items, key=_rank) if not everything else list(items)
    if not everything:
        shown = [item for number, item in enumerate(shown) if number < 8 or item.touched or item.name in wrong]
    column = layout.column()
    column.use_property_split = True
    column.use_property_decorate = False
    for item in shown:
        field = item.field
        if field is None:
            continue
        _draw_field(column, item, field, wrong.get(item.name, ""))
    return len(items) - len(shown)


def _rank(item):
    field = item.field
    prose = field is not None and field.multiline
    needed = field is not None and field.required
    return (0 if needed else 1, 0 if prose else 1, _FIRST.index(item.name) if item.name in _FIRST else len(_FIRST))


def _draw_field(column, item, field, wrong):
    title = field.title + (" *" if item.touched else "")
    if field.multiline:
        # Prose in a split column would show three words of it.
        box = column.column(align=True)
        box.use_property_split = False
        box.label(text=title)
        box.prop(item, item.widget, text="")
    else:
        row = column.row()
        row.alert = bool(wrong)
        row.prop(item, item.widget, text=title)
    if wrong:
        column.label(text=f"{field.title} {wrong}", icon="ERROR")
    elif field.is_too_long and not item.touched:
        column.label(text=f"{field.title} is too long to be shown; it stays unless you type another", icon="INFO")
    elif item.kind == forms.JSON and item.touched and not field.also_text:
        column.label(text="as JSON", icon="INFO")
