"use strict";
// From a chart's description to the options of ECharts: one translation for pages, downloads and files.
const charts = (() => {
  const FONT = "Inter, 'Helvetica Neue', Helvetica, Arial, sans-serif";
  const WIDTH = 520;
  // Models: Okabe and Ito (2008) without yellow, which white paper swallows; ranks: steps of viridis.
  const THEMES = {
    light: {
      paper: "#fff", ink: "#1f2328", grey: "#5b626a", line: "#e1e4e8", heat: "#0b5c8f", onHeat: "#fff",
      model: ["#0072b2", "#d55e00", "#009e73", "#b8578d", "#b87b00", "#3a9fd8", "#4a4a4a"],
      rank: ["#440154", "#463480", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#7fbc33", "#a5bf1a"],
    },
    dark: {
      paper: "#121517", ink: "#e4e7ea", grey: "#9aa3ab", line: "#2b3136", heat: "#4a9fd6", onHeat: "#0b1116",
      model: ["#4ba6e3", "#f0813d", "#2bc197", "#dd93bf", "#e0a93a", "#8fd0f5", "#c4c9ce"],
      rank: ["#b9a6e8", "#9a95e6", "#7d9fe0", "#58b1cf", "#45c4a8", "#6cd587", "#a3da5c", "#d5e04a"],
    },
  };
  const SYMBOLS = ["circle", "rect", "triangle", "diamond"];
  const colour = (name, theme) => {
    const [, kind, at] = name.match(/^([a-z]+)(\d*)$/);
    return at === "" ? theme[kind] : theme[kind][at];
  };

  // Axes run from 0 to 1, or over the tiles of a grid; what their places mean is in the ticks.
  const axis = ({ title, ticks, is_names, has_grid }, isX, theme, [min, max] = [0, 1]) => {
    const customValues = ticks.map(([place]) => place);
    const label = (value) => (ticks.find(([place]) => Math.abs(place - value) < 1e-6) || ["", ""])[1];
    return {
      type: "value", min, max, name: isX ? title : "", nameLocation: "middle", nameGap: 28,
      nameTextStyle: { color: theme.grey, fontFamily: FONT, fontSize: 12 },
      axisLabel: { customValues, formatter: label, color: theme.grey, fontFamily: FONT, fontSize: 12, hideOverlap: isX, margin: 9 },
      axisTick: { show: isX && !is_names, customValues, length: 4, lineStyle: { color: theme.grey } },
      axisLine: { show: isX, onZero: false, lineStyle: { color: theme.grey } },
      splitLine: { show: !isX || has_grid, customValues, lineStyle: { color: theme.line } },
    };
  };

  // Intervals: a band for a line, bars for the others.
  const interval = (series, theme) => {
    const points = series.points.filter((point) => point.range);
    const fill = colour(series.colour, theme);
    const common = { type: "custom", name: series.name, silent: true, z: 1, clip: true };
    const ends = (api, point) => point.range.map((end) => api.coord([point.at[0], end]));
    if (series.form === "line" && points.length > 1) {
      const renderItem = (_, api) => {
        const all = points.map((point) => ends(api, point));
        const outline = [...all.map((pair) => pair[1]), ...all.map((pair) => pair[0]).reverse()];
        return { type: "polygon", shape: { points: outline }, style: { fill, opacity: 0.13 } };
      };
      return [{ ...common, data: [points[0].at], renderItem }];
    }
    const opacity = series.form === "dashed" ? 0.35 : 0.6;
    const renderItem = (item, api) => {
      const [[x, low], [, high]] = ends(api, points[item.dataIndex]);
      return { type: "line", shape: { x1: x, y1: low, x2: x, y2: high }, style: { stroke: fill, fill: "none", lineWidth: 1.2, opacity } };
    };
    return points.length ? [{ ...common, data: points.map((point) => point.at), renderItem }] : [];
  };

  const LINES = {
    line: { width: 2 }, dashed: { width: 1.8, type: [5, 4] }, steps: { width: 1.8 }, fit: { width: 1.4, type: [1, 4], cap: "round" },
  };
  const SIZES = { dust: 5.5, dots: 9, fit: 0 };
  const marks = (series, theme) => {
    const { name, form, shape, points } = series;
    const stroke = colour(series.colour, theme);
    const datum = ({ at, hollow, weight, says }) => ({
      value: at, says,
      itemStyle: hollow || form === "dashed" ? { color: theme.paper, borderColor: stroke, borderWidth: 1.6 } : { color: stroke, opacity: form === "dust" ? 0.3 + 0.7 * weight : 1 },
    });
    const lineStyle = LINES[form] && { color: stroke, ...LINES[form] };
    return {
      type: lineStyle ? "line" : "scatter", name, data: points.map(datum), lineStyle, step: form === "steps" && "end", silent: form === "fit",
      symbol: form === "fit" ? "none" : SYMBOLS[shape % 4], symbolSize: SIZES[form] ?? 7.5, showSymbol: true, showAllSymbol: true,
      itemStyle: { color: stroke, opacity: 1 }, emphasis: { scale: 1.5 }, clip: false, z: lineStyle ? 3 : 2,
    };
  };

  const guide = ({ label, points }, theme) => {
    const end = points[points.length - 1];
    const isHigh = end[1] > 0.95;
    return [
      { type: "line", data: points, symbol: "none", silent: true, lineStyle: { color: theme.grey, width: 1, type: [2, 4], opacity: 0.8 }, z: 1 },
      text(end, label, { position: isHigh ? "top" : "left", distance: 6, color: theme.grey, offset: isHigh ? [0, 0] : [0, -8] }),
    ];
  };
  // A word at a place.
  const text = (at, words, style) => ({
    type: "scatter", data: [at], symbolSize: 0.01, itemStyle: { opacity: 1 }, silent: true, z: 4,
    label: { show: true, formatter: () => words, fontFamily: FONT, fontSize: 10.5, ...style },
  });
  // Two strokes where an axis changes from linear to logarithmic.
  const strokes = (place, theme) => ({
    type: "custom", silent: true, clip: false, data: [[place / 2, 0]], z: 4,
    renderItem: (_, api) => {
      const [x, y] = api.coord([place / 2, 0]);
      const one = (shift) => ({ type: "line", shape: { x1: x + shift - 2.5, y1: y + 5, x2: x + shift + 2.5, y2: y - 5 }, style: { stroke: theme.grey, lineWidth: 1.2 } });
      return { type: "group", children: [one(-3), one(3)] };
    },
  });

  // Names get room by their letters: without a browser ECharts takes letters for narrower than they are.
  const beside = ({ is_names, ticks }) => is_names && { beside: Math.min(WIDTH / 2, 7 * Math.max(...ticks.map(([, name]) => name.length)) + 24) };
  const chart = (described, theme) => ({
    x: axis(described.x, true, theme), y: { ...axis(described.y, false, theme), ...beside(described.y) },
    depth: described.y.is_names ? 17 * described.y.ticks.length : 270,
    series: [
      ...described.guides.flatMap((one) => guide(one, theme)),
      ...described.series.flatMap((one) => [marks(one, theme), ...interval(one, theme)]),
      ...(described.x.break ? [strokes(described.x.break, theme)] : []),
    ],
  });

  const tiles = (described, theme) => ({
    type: "custom", data: described.tiles.map((tile) => ({ value: tile.at, says: tile.says })), z: 1,
    renderItem: (item, api) => {
      const { at: [column, row], share, label } = described.tiles[item.dataIndex];
      const [[left, bottom], [right, top]] = [api.coord([column - 0.5, row - 0.5]), api.coord([column + 0.5, row + 0.5])];
      const shape = { x: left + 0.5, y: top + 0.5, width: right - left - 1, height: bottom - top - 1 };
      const words = { text: label, fill: share > 0.6 ? theme.onHeat : theme.ink, font: `12px ${FONT}` };
      return {
        type: "rect", shape, style: { fill: theme.heat, fillOpacity: 0.05 + 0.9 * share },
        textContent: { style: words }, textConfig: { position: "inside" },
      };
    },
  });
  const contours = (all, name, type, theme) => all.flatMap(({ label, label_at, points }) => [
    { type: "line", name, data: points, symbol: "none", silent: true, z: 3, itemStyle: { color: theme.model[1] }, lineStyle: { color: theme.model[1], width: 1.5, type } },
    { ...text(label_at, label, { position: "inside", color: theme.model[1], textBorderColor: theme.paper, textBorderWidth: 3.5 }), name },
  ]);
  const heat = (described, theme) => {
    const ticks = ({ title, names }) => ({ title, ticks: names.map((name, at) => [at, name]), is_names: true, has_grid: false });
    const named = (names, isX) => ({ ...axis(ticks(names), isX, theme, [-0.5, names.names.length - 0.5]), splitLine: { show: false }, axisLine: { show: false } });
    return {
      x: named(described.columns, true), y: named(described.rows, false), depth: 33 * described.rows.names.length,
      series: [tiles(described, theme), ...contours(described.accuracies, "equal accuracy", "solid", theme), ...contours(described.costs, "equal cost", [5, 4], theme)],
    };
  };

  const wrapped = (words, most) => words.split(/\s+/).reduce((lines, word) => {
    const last = lines[lines.length - 1];
    if (last !== undefined && last.length + word.length < most) lines[lines.length - 1] = last === "" ? word : `${last} ${word}`; else lines.push(word);
    return lines;
  }, [""]);
  // Names of a legend, with the colour and the mark of each; one name alone needs none.
  const LINES_OF_GRID = [["accuracies", "equal accuracy", "—"], ["costs", "equal cost", "╌"]];
  const names = (described) => {
    const all = described.kind === "chart"
      ? described.series.map(({ name, colour, shape }) => ({ name, colour, mark: "●■▲◆"[shape % 4] }))
      : LINES_OF_GRID.filter(([kind]) => described[kind].length).map(([, name, mark]) => ({ name, colour: "model1", mark }));
    const firsts = all.filter(({ name }, at) => all.findIndex((one) => one.name === name) === at);
    return firsts.length > 1 ? firsts : [];
  };
  const legendLines = (named, width) => named.reduce(([lines, used], { name }) => {
    const wide = 46 + 6.6 * name.length;
    return used + wide > width ? [lines + 1, wide] : [lines, used + wide];
  }, [1, 0])[0];

  // What ECharts is given, and how high it is. In a page the heading and the legend are the page's own.
  const options = (described, { dark = false, isFile = false, selected = {} } = {}) => {
    const theme = dark ? THEMES.dark : THEMES.light;
    const { x, y, depth, series } = (described.kind === "chart" ? chart : heat)(described, theme);
    const named = names(described);
    const lines = wrapped(described.subtitle, 84);
    const yTitle = (described.kind === "chart" ? described.y : described.rows).title;
    const top = (isFile ? 48 + 15 * lines.length : 0) + (yTitle ? 30 : 8);
    const legend = isFile && named.length ? 8 + 20 * legendLines(named, WIDTH - 24) : 0;
    const bottom = 54 + legend;
    const yName = { show: yTitle !== "", text: yTitle, left: 12, top: top - 26, padding: 0, textStyle: { color: theme.grey, fontFamily: FONT, fontSize: 12, fontWeight: 400 } };
    const title = { show: isFile, text: described.title, subtext: lines.join("\n"), left: 12, top: 10, padding: 0, itemGap: 7, textStyle: { color: theme.ink, fontFamily: FONT, fontSize: 16, fontWeight: 600 }, subtextStyle: { color: theme.grey, fontFamily: FONT, fontSize: 11.5, lineHeight: 15 } };
    const key = { show: isFile, data: named.map(({ name }) => name), selected, bottom: 6, left: 12, right: 12, itemGap: 16, itemHeight: 9, itemWidth: series.every(({ type }) => type !== "scatter") ? 20 : 9, textStyle: { color: theme.ink, fontFamily: FONT, fontSize: 12 }, formatter: (name) => name };
    const tooltip = { show: !isFile, trigger: "item", renderMode: "richText", confine: true, formatter: ({ data }) => data.says || "", backgroundColor: theme.ink, borderWidth: 0, padding: [8, 11], textStyle: { color: theme.paper, fontFamily: FONT, fontSize: 13, lineHeight: 19 } };
    return {
      height: top + depth + bottom, width: WIDTH,
      option: {
        animation: false, backgroundColor: isFile ? theme.paper : "transparent", title: [title, yName], legend: key, tooltip, xAxis: x, yAxis: y, series,
        grid: y.beside ? { left: y.beside, right: 18, top, bottom, outerBoundsMode: "none" } : { left: 12, right: 18, top, bottom: bottom - 22, outerBoundsMode: "same", outerBoundsContain: "axisLabel", outerBounds: { left: 12, right: 12, top: 0, bottom: bottom - 22 } },
      },
    };
  };

  // Without what only a page needs, and with names of parts that do not count the charts drawn before.
  const plain = (markup) => markup
    .replace(/ (ecmeta_\w+|pointer-events|class)="[^"]*"/g, "")
    .replace(/( id="| clip-path="url\(#)zr\d+-/g, "$1");

  // The chart as an SVG file on white paper.
  const svg = (described, selected) => {
    const { option, width, height } = options(described, { isFile: true, selected });
    const drawn = echarts.init(null, null, { renderer: "svg", ssr: true, width, height });
    drawn.setOption(option);
    const markup = drawn.getZr().painter.renderToString({ cssAnimation: false, cssEmphasis: false, useViewBox: true });
    drawn.dispose();
    return plain(markup);
  };
  return { options, svg, names, colour: (name, dark) => colour(name, dark ? THEMES.dark : THEMES.light) };
})();
