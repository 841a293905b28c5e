// The forms of the API's page: a request like any other, sent from here, and its answer as it came. The page is whole without it.
(() => {
  "use strict";
  let key = ""; // in this page's memory alone
  const authorize = document.getElementById("authorize");
  authorize.addEventListener("submit", (event) => {
    event.preventDefault();
    key = document.getElementById("secret").value.trim();
    document.getElementById("authorized").textContent = key ? `Requests from here carry a key that ends in ${key.slice(-4)}.` : "No key.";
  });

  function element(name, text, kind) {
    const made = document.createElement(name);
    made.textContent = text;
    if (kind) made.className = kind;
    return made;
  }

  function told(answer, text, took) {
    const kind = answer.ok ? "passed" : answer.status >= 500 ? "blocked" : "none";
    const after = answer.headers.get("Retry-After");
    const line = element("p", ` in ${took} ms, id ${answer.headers.get("X-Request-ID") ?? "-"}${after ? `, come again after ${after} s` : ""}`);
    line.prepend(element("span", `${answer.status}`, `tag ${kind}`));
    let shown = text;
    try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* it is text, and stays so */ }
    const body = element("pre", shown, "card");
    body.tabIndex = 0;
    return [line, body];
  }

  async function send(event) {
    event.preventDefault();
    const form = event.target, inputs = [...form.querySelectorAll("[data-in]")];
    let path = form.dataset.path;
    const query = new URLSearchParams();
    for (const one of inputs) {
      if (one.dataset.in === "path") path = path.replace(`{${one.name}}`, encodeURIComponent(one.value));
      else if (one.value) query.set(one.name, one.value);
    }
    const body = form.querySelector("textarea")?.value, headers = {};
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (key) headers.Authorization = `Bearer ${key}`;
    const place = form.querySelector(".answered"), began = performance.now();
    place.replaceChildren(element("p", "Asked ...", "quiet"));
    try {
      const answer = await fetch(path + (query.size ? `?${query}` : ""), { method: form.dataset.method, headers, body });
      place.replaceChildren(...told(answer, await answer.text(), Math.round(performance.now() - began)));
    } catch (error) {
      place.replaceChildren(element("p", `No answer came: ${error.message}`, "problem"));
    }
  }

  for (const form of document.querySelectorAll("form.try")) {
    form.hidden = false;
    form.addEventListener("submit", send);
  }

  function reveal() { // a link leads to a route that is folded
    const place = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (place instanceof HTMLDetailsElement) place.open = true;
  }
  addEventListener("hashchange", reveal);
  reveal();
})();
