"use strict";
(async () => {
  const wrong = [];
  const check = (what, holds) => { if (!holds) wrong.push(what); };
  const all = (selector) => [...document.querySelectorAll(selector)];
  const change = (id, value) => { document.getElementById(id).value = value; document.getElementById(id).dispatchEvent(new Event("change")); };
  const cellRows = () => all("#c-table tbody tr");
  try {
    const seen = figures.filter((figure) => !figure.hidden);
    const painted = (figure) => {
      const chart = shown(figure);
      chart.getZr().flush();
      const canvas = figure.querySelector("canvas");
      const copy = el("canvas", { width: canvas.width, height: canvas.height }).getContext("2d", { willReadFrequently: true });
      copy.drawImage(canvas, 0, 0);
      const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
      return data.filter((value, at) => at % 4 === 3 && value > 0).length;
    };
    check("there are charts", seen.length > 3);
    check("every chart is painted", seen.every((figure) => painted(figure) > 2000));
    check("every chart has a width", seen.every((figure) => figure.querySelector("canvas").getBoundingClientRect().width > 200));
    check("what is not shown is not drawn", figures.filter((figure) => figure.hidden).every((figure) => !figure.querySelector("canvas")));
    check("the page is not wider than the window", document.documentElement.scrollWidth <= innerWidth);

    const head = all("#c-table th button")[5];
    const accuracies = () => cellRows().map((row) => parseFloat(row.children[5].textContent.replace("~", "")));
    head.click();
    const falling = accuracies();
    check("sorting puts the largest first", falling.length > 5 && falling.every((value, at) => at === 0 || value <= falling[at - 1]));
    head.click();
    const rising = accuracies();
    check("sorting again puts the smallest first", rising.every((value, at) => at === 0 || value >= rising[at - 1]));
    check("the head says how it is sorted", all("#c-table th")[5].ariaSort === "ascending");
    const before = document.getElementById("c-count").textContent;
    change("c-0", "d");
    check("filtering keeps one model", cellRows().length > 0 && cellRows().every((row) => row.children[0].textContent === "d"));
    check("filtering says how many are left", document.getElementById("c-count").textContent !== before);

    const [figure] = seen;
    const key = figure.querySelector(".key");
    const whole = painted(figure);
    key.click();
    check("the legend hides a series", painted(figure) < whole);
    check("and says so", key.ariaPressed === "false" && !toSvg(figure).includes(`fill="${charts.colour(key.colour)}"`));
    key.click();
    check("and shows it again", painted(figure) === whole);
    figure.querySelector(".chart").dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
    check("an arrow key says a value", /accuracy/.test(document.getElementById("tip").textContent));
    check("and shows it", painted(figure) > whole);
    check("a chart becomes a picture", (await toPng(figure)).size > 2000);
    check("a download has its title", toSvg(figure).includes("what accuracy costs"));

    await openBrowser();
    check("trajectories are listed", all("#b-list li").length > 10);
    change("b-model", "d");
    check("trajectories are filtered", all("#b-list small").every((line) => line.textContent.startsWith("d ")));
    change("b-model", "");
    document.getElementById("b-text").value = "onerror";
    search();
    check("a search finds what a model wrote", all("#b-list li").length === 1);
    check("what a model wrote is shown as text", document.querySelector("#b-one .chain").textContent.includes("<script>document.title='owned'<\/script>"));
    check("and makes no element", all("#b-one img, #b-one script, #b-list img").length === 0);
    check("nor runs", document.title !== "owned");
  } catch (error) {
    wrong.push(String(error));
  }
  const said = document.createElement("pre");
  said.id = "checked";
  said.textContent = wrong.length ? wrong.join("; ") : "all is well";
  document.body.prepend(said);
})();
