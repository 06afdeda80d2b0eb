"""A visitor without a browser: speaks Streamlit's protocol over a websocket, as its page does.

Many of them cost less than one Chromium, and each has a session of its own.
"""

import time
import urllib.request
from urllib.parse import urlsplit

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetStates
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

COOKIE = "_streamlit_xsrf"
WAIT = 120


class Visitor:
    """One session on one page.

    Attributes:
        elements: Elements of the page after the last run, in the order in which they came.
        seconds_to: Seconds from the request of the last run to its first element of each type.
    """

    def __init__(self, address: str, page: str, query: str = "") -> None:
        self.address = address
        self.page = page
        self.query = query
        self.elements: list[Element] = []
        self.seconds_to: dict[str, float] = {}
        self.failed = False
        self._asked = 0.0
        self._session = ""
        with urllib.request.urlopen(f"{address}/_stcore/health") as response:
            cookies = response.headers.get_all("Set-Cookie") or []
        self._token = next(
            (
                cookie.split(";")[0].split("=", 1)[1]
                for cookie in cookies
                if cookie.startswith(COOKIE)
            ),
            "",
        )
        parts = urlsplit(address)
        self._socket: ClientConnection = connect(
            f"ws://{parts.netloc}/_stcore/stream",
            additional_headers={"Cookie": f"{COOKIE}={self._token}"},
            origin=Origin(address),
            max_size=None,
            ping_interval=None,  # a busy server may take its time
            legacy=True,
        )

    def run(self, states: WidgetStates | None = None) -> None:
        """Asks for a run of the page; `wait` collects what it shows."""
        message = BackMsg()
        message.rerun_script.query_string = self.query
        message.rerun_script.page_name = self.page
        if states is not None:
            message.rerun_script.widget_states.CopyFrom(states)
        self._asked = time.perf_counter()
        self._socket.send(message.SerializeToString())

    def wait(self) -> list[Element]:
        """Waits until the run is over and returns what the page shows."""
        self.elements, self.failed = [], False
        while True:
            message = self._receive()
            kind = message.WhichOneof("type")
            if kind == "new_session":
                self._session = message.new_session.initialize.session_id or self._session
                self.elements, self.seconds_to = [], {}
            elif kind == "delta":
                element = message.delta.new_element
                element_type = element.WhichOneof("type") or ""
                self.failed |= element_type == "exception"
                self.seconds_to.setdefault(element_type, time.perf_counter() - self._asked)
                self.elements.append(element)
            elif kind == "script_finished":
                return self.elements

    def upload(self, name: str, data: bytes, tick: str = "") -> None:
        """Puts a file into the page's uploader and asks for a run.

        Args:
            name: Name of the file.
            data: Content of the file.
            tick: Label of a checkbox that is ticked at the same time.
        """
        message = BackMsg()
        message.file_urls_request.request_id = "1"
        message.file_urls_request.file_names.append(name)
        message.file_urls_request.session_id = self._session
        self._socket.send(message.SerializeToString())
        message = self._receive()
        while message.WhichOneof("type") != "file_urls_response":
            message = self._receive()
        (urls,) = message.file_urls_response.file_urls
        edge = "----ferscope"
        body = (
            f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: image/png\r\n\r\n"
        ).encode() + data + f"\r\n--{edge}--\r\n".encode()  # fmt: skip
        request = urllib.request.Request(
            f"{self.address}{urls.upload_url}",
            data=body,
            method="PUT",
            headers={
                "Content-Type": f"multipart/form-data; boundary={edge}",
                "X-Xsrftoken": self._token,
                "Cookie": f"{COOKIE}={self._token}",
            },
        )
        urllib.request.urlopen(request).close()
        states = WidgetStates()
        state = states.widgets.add(id=self._uploader())
        state.file_uploader_state_value.uploaded_file_info.add(
            name=name, size=len(data), file_id=urls.file_id, file_urls=urls
        )
        if tick:
            states.widgets.add(id=self._checkbox(tick), bool_value=True)
        self.run(states)

    def markdown(self) -> list[str]:
        """Returns the texts of the page."""
        return [
            element.markdown.body
            for element in self.elements
            if element.WhichOneof("type") == "markdown"
        ]

    def pictures(self) -> list[bytes]:
        """Returns the files of the page's pictures, in their order."""
        urls = [
            picture.url
            for element in self.elements
            if element.WhichOneof("type") == "imgs"
            for picture in element.imgs.imgs
        ]
        return [urllib.request.urlopen(f"{self.address}{url}").read() for url in urls]

    def close(self) -> None:
        """Ends the session."""
        self._socket.close()

    def _uploader(self) -> str:
        return next(
            element.file_uploader.id
            for element in self.elements
            if element.WhichOneof("type") == "file_uploader"
        )

    def _checkbox(self, label: str) -> str:
        return next(
            element.checkbox.id
            for element in self.elements
            if element.WhichOneof("type") == "checkbox" and element.checkbox.label == label
        )

    def _receive(self) -> ForwardMsg:
        message = ForwardMsg()
        message.ParseFromString(self._socket.recv(timeout=WAIT))
        return message
