// Hover read-out: the nearest position of a plot, with every series' value there.
for (const figure of document.querySelectorAll("[data-plot]")) {
  const data = JSON.parse(figure.dataset.plot);
  const svg = figure.querySelector("svg"), readout = figure.querySelector(".readout"), cursor = figure.querySelector(".cursor");
  const hide = () => { readout.hidden = true; cursor.setAttribute("visibility", "hidden"); };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect(), x = (event.clientX - box.left) / box.width * data.width;
    let at = 0;
    data.pixels.forEach((pixel, index) => { if (Math.abs(pixel - x) < Math.abs(data.pixels[at] - x)) at = index; });
    if (!data.pixels.length) return;
    const head = document.createElement("b");
    head.textContent = data.labels[at];
    readout.replaceChildren(head);
    for (const series of data.series) {
      if (series.values[at] === null) continue;
      const row = document.createElement("div"), swatch = document.createElement("span");
      swatch.className = "swatch " + series.colour;
      row.append(swatch, series.name + " " + series.values[at]);
      readout.append(row);
    }
    for (const end of ["x1", "x2"]) cursor.setAttribute(end, data.pixels[at]);
    cursor.setAttribute("visibility", "visible");
    readout.hidden = false;
    const left = data.pixels[at] / data.width * box.width, wide = readout.offsetWidth;
    readout.style.left = (left + wide + 16 > box.width ? left - wide - 12 : left + 12) + "px";
    readout.style.top = "28px";
  });
  svg.addEventListener("pointerleave", hide);
}
