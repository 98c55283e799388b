/* A figure opens large, by a click or by Enter; a click, Escape or a scroll closes it. */
addEventListener("DOMContentLoaded", () => {
  const images = [...document.querySelectorAll(".bd-article figure img")];
  const zoom = mediumZoom(images, { margin: 16, background: "var(--pst-color-background)" });
  images.forEach((image) => {
    image.tabIndex = 0;
    image.setAttribute("role", "button");
    image.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      zoom.toggle({ target: image });
    });
  });
});
