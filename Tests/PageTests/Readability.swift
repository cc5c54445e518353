/// Questions to the page, in JavaScript, about who can read it.
enum Readability {
  /// Visible text whose contrast with what is behind it is below 4.5 (WCAG 2.2, 1.4.3), with the figure.
  static let poorContrast = """
    (() => {
      const parse = (c) => { const n = c.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
      const light = ([r, g, b]) => [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
      const behind = (node) => {
        for (; node; node = node.parentElement) { const c = parse(getComputedStyle(node).backgroundColor); if (c[3] === 1) return c; }
        return [255, 255, 255, 1];
      };
      const poor = [];
      for (const node of document.querySelectorAll("body *")) {
        if (![...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim())) continue;
        if (["SCRIPT", "STYLE", "NOSCRIPT"].includes(node.tagName) || !node.checkVisibility()) continue;
        const [a, b] = [light(parse(getComputedStyle(node).color)), light(behind(node))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) poor.push(`${node.tagName} ${node.className}: ${ratio.toFixed(2)}`);
      }
      return poor;
    })()
    """

  /// What sticks out of the page to the right.
  static let tooWide = """
    [...document.querySelectorAll("body *")].filter((node) => node.checkVisibility() && !node.classList.contains("unseen")
      && node.getBoundingClientRect().right > innerWidth + 0.5).map((node) => `${node.tagName} ${node.id} ${node.className}`)
    """

  /// Elements that only hostile text could have made, and addresses that lead elsewhere.
  static let foreign = """
    [...document.querySelectorAll("img, iframe, object, embed, form, b, script:not([nonce]), style:not([nonce]), [onerror], [onclick], [style]")]
      .map((node) => node.outerHTML.slice(0, 100))
      .concat([...document.querySelectorAll("[href], [src]")].map((node) => node.href || node.src)
        .filter((address) => !address.startsWith(location.origin + "/") && address !== "data:,"))
    """
}
