// The numbers behind the pictures.
function drawTable(data, run, settings, colours) {
  const { a, b } = settings, components = b >= 0 ? [a, b] : [a], names = data.families[settings.family].parameters[settings.D - 1].map(p => p.label);
  const cells = [], number = (words, strong = false) => `<td class="number">${strong ? `<strong>${words}</strong>` : words}</td>`;
  const head = ["estimator", ...components.flatMap(i => [`${names[i]}: mean`, "bias"]), "variance", "cost", "variance × cost"];
  cells.push(`<thead><tr>${head.map((h, i) => `<th scope="col"${i ? ' class="number"' : ""}>${h}</th>`).join("")}</tr></thead><tbody>`);
  cells.push(`<tr><th scope="row">exact</th>${components.map(i => number(shown(run.exact[i], 4)) + number("0")).join("")}${number("0")}<td></td><td></td></tr>`);
  for (const [name, t] of run.tallies) {
    const e = data.estimators.find(e => e.name === name), cost = e.cost[settings.family][settings.D - 1][settings.K - 1], total = totalVariance(t);
    const said = saidOf(data, run, settings, name), own = components.map(i => {
      if (t.n < 2) return number("") + number("");
      const bias = t.mean[i] - run.exact[i], error = standardError(t, i), small = Math.abs(bias) < 1e-9;
      return number(places(t.mean[i], error)) + number(small ? "0" : `${places(bias, error)} ± ${places(error, error)}`, !small && Math.abs(bias) > 4 * error);
    }).join("");
    cells.push(`<tr><th scope="row"><span class="swatch" style="--own:${colours.get(name)}"></span>${name}${said && `<br><small>${said}</small>`}</th>${own}${number(t.n < 2 ? "" : shown(total, 3))}${number(cost)}${number(t.n < 2 ? "" : shown(total * cost, 3))}</tr>`);
  }
  document.getElementById("table").innerHTML = cells.join("") + "</tbody>";
  const biased = data.estimators.filter(e => run.tallies.has(e.name) && claimOf(e, settings) === "biased");
  document.getElementById("biased").textContent = biased.length ? `Biased: ${biased.map(e => `${e.name} (${e.bias})`).join("; ")}.` : "";
}

// As many decimals as a standard error leaves sense in.
const places = (x, error) => x.toFixed(Math.min(6, Math.max(2, error > 0 ? 1 - Math.floor(Math.log10(error)) : 4))).replace("-", "−");
