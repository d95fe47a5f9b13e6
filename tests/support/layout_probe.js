// Says to the page around this one what is cut, overlaps or reaches out of it, a problem an item.
addEventListener("load", () => setTimeout(() => {
  const width = document.documentElement.clientWidth, problems = [];
  if (document.documentElement.scrollWidth > width) problems.push("the page scrolls sideways");
  const straight = text => !/rotate\(-?(?!0|90|270)/.test(text.getAttribute("transform") || "");
  for (const plot of document.querySelectorAll(".js-plotly-plot")) {
    const box = plot.getBoundingClientRect(), name = plot.id;
    if (box.right > width) problems.push(`${name} reaches out of the page`);
    const texts = [...plot.querySelectorAll("text")]
      .filter(text => text.textContent.trim() && !text.closest(".hoverlayer, .legend"))
      .map(text => ({ words: text.textContent.trim(), is: straight(text), box: text.getBoundingClientRect() }))
      .filter(text => text.box.width);
    const bar = plot.querySelector(".modebar")?.getBoundingClientRect();
    texts.forEach((one, place) => {
      const { left, right, top, bottom } = one.box;
      if (left < box.left - 2 || right > box.right + 2 || top < box.top - 2 || bottom > box.bottom + 2)
        problems.push(`${name} cuts "${one.words}"`);
      const beside = (other, least) =>
        Math.min(right, other.right) - Math.max(left, other.left) > least &&
        Math.min(bottom, other.bottom) - Math.max(top, other.top) > least;
      if (bar?.width && beside(bar, 2)) problems.push(`${name} has its tools over "${one.words}"`);
      for (const other of texts.slice(place + 1))
        if (one.is && other.is && beside(other.box, 4)) problems.push(`${name} has "${one.words}" over "${other.words}"`);
    });
  }
  parent.postMessage(problems.join(" | ") || "fine", "*");
}, 1000));
