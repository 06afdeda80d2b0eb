"""The live page with a drawn clip in the camera's place."""

import os
import shutil
from urllib.parse import urlsplit

import numpy as np
import pytest

from fer_core.labels import Emotion
from fer_core.synthetic.face import portrait
from tests.support.browser import FLAGS, settled

pytest.importorskip("streamlit_webrtc")


@pytest.fixture(scope="module")
def camera(tmp_path_factory, chromium):
    """A Chromium whose camera plays a drawn face (y4m: raw frames, 4:2:0)."""
    path = tmp_path_factory.mktemp("camera") / "face.y4m"
    image = portrait(3, Emotion.HAPPY, 384).image
    frame = np.full((480, 640, 3), 140, np.uint8)
    frame[48:432, 128:512] = image
    # ITU-R BT.601, studio range
    red, green, blue = (frame[..., channel].astype(float) for channel in range(3))
    luma = 16 + 0.257 * red + 0.504 * green + 0.098 * blue
    chroma = (
        128 - 0.148 * red - 0.291 * green + 0.439 * blue,
        128 + 0.439 * red - 0.368 * green - 0.071 * blue,
    )
    planes = [luma, *(plane[::2, ::2] for plane in chroma)]
    raw = b"".join(plane.round().clip(0, 255).astype(np.uint8).tobytes() for plane in planes)
    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W640 H480 F15:1 Ip A1:1 C420jpeg\n")
        for _ in range(30):
            file.write(b"FRAME\n" + raw)
    program = os.environ.get("FERSCOPE_CHROMIUM") or shutil.which("chromium")
    flags = [
        *FLAGS,
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={path}",
    ]
    browser = chromium.browser_type.launch(executable_path=program, args=flags)
    yield browser.new_context(permissions=["camera"])
    browser.close()


def test_camera_frames_return_with_boxes_and_bars(camera, address):
    page = camera.new_page()
    page.set_default_timeout(90_000)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(f"{address}/live")
    settled(page)
    frame = page.frame_locator("iframe[title*='webrtc']")
    frame.get_by_role("button", name="Start").click()
    video = frame.locator("video")
    video.wait_for()
    page.wait_for_timeout(15_000)
    # The drawn background is grey: the box's colour and the bars can only come from the models.
    coloured = video.evaluate(
        """video => {
            const canvas = document.createElement('canvas');
            canvas.width = video.videoWidth; canvas.height = video.videoHeight;
            const context = canvas.getContext('2d');
            context.drawImage(video, 0, 0);
            const {data} = context.getImageData(0, 0, canvas.width, canvas.height);
            let dark = 0;
            for (let index = 0; index < data.length; index += 4) {
                dark += data[index] < 45 && data[index + 1] < 45 && data[index + 2] < 45;
            }
            return {width: canvas.width, share: dark / (canvas.width * canvas.height)};
        }"""
    )
    assert coloured["width"] == 640
    assert coloured["share"] > 0.02  # the panel behind the bars
    # At least one frame a second, once the models are warm; a busy machine may take a while.
    page.wait_for_function(
        "() => /(^|\\s)([1-9]\\d*)\\.\\d frames per second/.test(document.body.innerText)"
    )
    hosts = {urlsplit(url).hostname for url in requests if url.startswith(("http", "ws"))}
    assert not any("google" in str(host) or "stun" in str(host) for host in hosts), hosts
    page.close()
