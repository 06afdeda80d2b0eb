"""The HTTP service over the predictor: `uvicorn fer_core.serving.app:app`."""
