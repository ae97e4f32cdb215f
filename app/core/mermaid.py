"""Drawing a pipeline as a Mermaid flowchart, which GitHub, GitLab and many editors render."""

from __future__ import annotations

from app.core.pipelines import INPUTS, Pipeline, Step, references


def mermaid(pipeline: Pipeline) -> str:
    """Return the flowchart. Models have a double frame, steps with `each` are hexagons, and conditions are dotted arrows."""
    lines = ["flowchart LR", *(f"  {INPUTS}_{name}([{name}])" for name in pipeline.inputs)]
    for step in pipeline.steps.values():
        lines.append(f"  {step.name}{_box(step)}")
        condition = {name for name, _ in references(step.when.value)} if step.when else set()
        for source in sorted(_sources(step)):
            arrow = f'-. "{_safe(str(step.when))}" .->' if source in condition else "-->"
            lines.append(f"  {source} {arrow} {step.name}")
    lines.append("  output([output])")
    lines += [f"  {source} --> output" for source in sorted({_node(name, path) for name, path in references(pipeline.output)})]
    return "\n".join(lines) + "\n"


def _sources(step: Step) -> set[str]:
    parts = (step.inputs, step.each, step.when.value if step.when else None)
    return {_node(name, path) for part in parts for name, path in references(part) if name in step.sources or name == INPUTS}


def _node(name: str, path: tuple[str, ...]) -> str:
    return f"{INPUTS}_{path[0]}" if name == INPUTS else name


def _box(step: Step) -> str:
    text = f'"{step.name}<br/><i>{_safe(step.model or step.run)}</i>"'
    if step.each:
        return f"{{{{{text}}}}}"
    return f"[[{text}]]" if step.model else f"[{text}]"


def _safe(text: str) -> str:
    return text.replace('"', "'")
