"""Roles that Streamlit's navigation lacks, for screen readers."""

import streamlit as st

_SCRIPT = """
<script>
(() => {
  if (window.ferscopeRoles) return;
  window.ferscopeRoles = true;
  // Streamlit puts the headings of sections into the list of pages, so it is no list: its links
  // are announced as links of the navigation
  const items = '[data-testid="stSidebarNavItems"], [data-testid="stSidebarNavItems"] li';
  const mend = () => {
    for (const item of document.querySelectorAll(items)) item.setAttribute("role", "none");
  };
  let waiting = false;
  new MutationObserver(() => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; mend(); });
  }).observe(document.body, { childList: true, subtree: true });
  mend();
})();
</script>
"""


def mend_navigation() -> None:
    """Adds the script that mends the navigation's roles; call it once per run."""
    with st.container(key="roles"):
        st.html(_SCRIPT, unsafe_allow_javascript=True)
