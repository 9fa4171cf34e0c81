// Sends the form without leaving the page. Everything it shows is drawn by the server (the same answer that a browser
// without JavaScript gets); only "no answer at all" is shown by the page itself.

const inFlight = "Writing to mysql-0…";

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const register = document.getElementById("register");
  const buttons = register.querySelectorAll("button");
  if (register.getAttribute("aria-busy") === "true") return;
  register.setAttribute("aria-busy", "true");
  document.getElementById("busy").textContent = inFlight;
  document.getElementById("cut").hidden = true;
  buttons.forEach((button) => { button.disabled = true; });
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      headers: { Accept: "text/html" },
      signal: AbortSignal.timeout(30000), // a node that loses power answers nothing
      body: new URLSearchParams(new FormData(form)),
    });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const drawn = page.getElementById("register");
    if (!drawn) throw new Error("not a page of write-app");
    register.replaceChildren(...drawn.childNodes);
    (register.querySelector("[aria-invalid]") || document.getElementById("outcome")).focus();
  } catch {
    document.getElementById("outcome").replaceChildren();
    const cut = document.getElementById("cut");
    cut.hidden = false;
    cut.querySelector("button").disabled = false;
    cut.querySelector("button").focus();
  } finally {
    register.removeAttribute("aria-busy");
    document.getElementById("busy").textContent = "";
    register.querySelectorAll("button").forEach((button) => { button.disabled = false; });
  }
});
