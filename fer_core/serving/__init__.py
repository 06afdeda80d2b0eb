"""HTTP service of a benchmark's models: `uvicorn fer_core.serving.app:app`."""
