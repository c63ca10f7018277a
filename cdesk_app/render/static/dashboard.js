// The board renews itself: the server says when it has changed (server-sent events), and sends the
// new one as HTML that it has escaped.
const board = document.getElementById("board");

function live(on) {
  const mark = document.getElementById("live");
  mark.classList.toggle("on", on);
  mark.textContent = on ? "live" : "not connected";
}

async function renew() {
  const answer = await fetch("/board");
  if (answer.status === 403 || answer.status === 410) return location.reload();
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  board.replaceChildren(...page.body.childNodes);
  board.dataset.version = answer.headers.get("x-version");
  live(true);
}

const events = new EventSource("/events");
events.addEventListener("open", () => live(true));
events.addEventListener("error", () => live(false));
events.addEventListener("board", (event) => {
  if (event.data !== board.dataset.version) renew();
});
board.dataset.ready = "yes";
