"""Download buttons: the file, and a click that leaves the page alone."""

import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.forward_msg_queue import ForwardMsgQueue
from streamlit.testing.v1 import AppTest


def page(content, file_name):
    from dashboard.components import download

    download.button("Get it", content, file_name)


@pytest.mark.parametrize("content", ["a,b\n1,2\n", b"a,b\n1,2\n", lambda: "a,b\n1,2\n"])
def test_a_click_downloads_without_a_rerun(content):
    (button,) = AppTest.from_function(page, args=(content, "a.csv")).run().get("download_button")
    assert button.proto.ignore_rerun
    assert bool(button.proto.deferred_file_id) == callable(content)


def test_a_started_run_discards_an_unsent_answer_about_a_made_file():
    """Why a click must not rerun: with the file's answer lost, the browser waits for minutes."""
    queue = ForwardMsgQueue()
    answer = ForwardMsg()
    answer.backend_operation_response.request_id = "made file"
    queue.enqueue(answer)
    queue.clear(retain_lifecycle_msgs=True)  # as AppSession does when a run starts
    assert not queue.flush()
