"""CenterFace: where faces are in a picture, by a network whose weights come with the package."""

from fer_core.data.centerface.detector import CenterFaceDetector

__all__ = ["CenterFaceDetector"]
