"""A file field for programs that takes files and no addresses: the server fetches nothing."""

from __future__ import annotations

from pathlib import Path

import gradio as gr


def uploads_only(component: gr.File) -> gr.File:
    """A file input that takes uploads only: the server fetches no address for anybody."""
    move = component.async_move_resource_to_block_cache

    async def move_local(path: str | Path | None) -> str | None:
        if isinstance(path, str) and "://" in path:
            raise gr.Error("Give a file, not an address: the server fetches nothing.", print_exception=False)
        return await move(path)

    component.async_move_resource_to_block_cache = move_local
    return component
