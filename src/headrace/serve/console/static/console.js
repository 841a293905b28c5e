// Draws the charts, and keeps what a reader has opened open when figures are refreshed. Pages are whole without it.
(() => {
  "use strict";
  const own = document.getElementById("console").dataset;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let loaded = null;

  function load(address) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = address;
      script.onload = resolve;
      script.onerror = reject;
      document.head.append(script);
    });
  }

  function drawing() { // only pages with a chart wait for what draws it
    loaded ??= load(own.vega).then(() => load(own.vegaLite)).then(() => load(own.vegaEmbed));
    return loaded;
  }

  const tone = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function look(width) { // the page's own colours and type, light or dark
    const font = getComputedStyle(document.body).fontFamily;
    const axis = { domain: false, ticks: false, labelPadding: 8, gridColor: tone("--grid"), labelColor: tone("--quiet"),
      titleColor: tone("--quiet"), titleFontWeight: 500, titlePadding: 10, tickCount: 6, labelFontSize: 11.5, titleFontSize: 11.5 };
    return {
      background: "transparent", font, view: { stroke: null }, axis,
      legend: { labelColor: tone("--quiet"), titleColor: tone("--quiet"), orient: "top", title: null, labelFontSize: 12, columns: Math.max(2, Math.floor(width / 115)), symbolOpacity: 1 },
      title: { color: tone("--ink") }, text: { color: tone("--ink") }, rule: { color: tone("--base") },
      mark: { color: tone("--water") }, bar: { cornerRadiusEnd: 3 }, line: { strokeWidth: 2.5 }, point: { filled: true, size: 70 },
      range: { category: ["--water", "--sand", "--better", "--worse", "--violet", "--same"].map(tone) },
    };
  }

  async function draw(place) {
    const spec = JSON.parse(place.nextElementSibling.textContent, (name, value) =>
      name === "range" && Array.isArray(value) ? value.map(tone) : value); // a chart names the page's colours, where they mean something
    await window.vegaEmbed(place, spec, { ast: true, actions: false, renderer: "svg", defaultStyle: false, config: look(place.clientWidth),
      logLevel: 1, // errors: that a height by rows is not fitted is as it should be
      tooltip: { disableDefaultStyle: true, theme: "page" } });
  }

  async function drawAll(root) {
    const places = [...root.querySelectorAll("[data-chart]")];
    if (places.length === 0) return;
    await drawing();
    await Promise.all(places.map(draw));
    document.documentElement.dataset.drawn = "yes";
  }

  const opened = () => [...document.querySelectorAll("details")].map((one) => one.open);
  const heights = () => [...document.querySelectorAll("[data-chart]")].map((one) => one.offsetHeight);
  let kept = [], high = [];
  document.addEventListener("htmx:beforeSwap", () => { kept = opened(); high = heights(); });
  document.addEventListener("htmx:afterSwap", (event) => {
    document.querySelectorAll("details").forEach((one, at) => { one.open ||= kept[at] ?? false; });
    document.querySelectorAll("[data-chart]").forEach((one, at) => { one.style.minHeight = `${high[at] ?? 0}px`; }); // no jump
    drawAll(event.detail.target);
  });
  dark.addEventListener("change", () => drawAll(document));
  document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  drawAll(document);
})();
