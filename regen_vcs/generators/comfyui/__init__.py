"""`comfyui`: a workflow graph on a ComfyUI server. What talks to the network is imported when a job runs."""

from regen_vcs.generators.comfyui.generator import Comfyui

__all__ = ["Comfyui"]
