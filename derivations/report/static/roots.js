// Chromium reserves the width of the tallest root sign for every root: the space behind it is taken back.
(() => {
  const close = () => {
    const spaces = [...document.querySelectorAll("msqrt")].map((root) => {
      const size = parseFloat(getComputedStyle(root).fontSize);
      const under = root.lastElementChild;
      return [root, under ? (root.getBoundingClientRect().right - under.getBoundingClientRect().right) / size : 0];
    });
    for (const [root, space] of spaces) if (space > .02) root.style.marginRight = `${-space}em`;
  };
  document.fonts.ready.then(close);
  document.addEventListener("toggle", close, true);  // what is folded has no width yet
})();
