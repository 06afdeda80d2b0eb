"""Explanations: saliency methods, faithfulness metrics, feature maps and facial regions."""
