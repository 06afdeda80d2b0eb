"""CenterFace: face detection by a network whose weights are part of the package."""

from fer_core.data.centerface.detector import CenterFaceDetector

__all__ = ["CenterFaceDetector"]
