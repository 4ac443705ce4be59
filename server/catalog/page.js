
const EXAMPLE_REF = "018f3c5e-7d2a-7c3e-9b1a-3f2b8c6d4e5f";

function makeRef() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function prepare(form) {
  const { method, path } = form.dataset;
  const payload = JSON.parse(form.querySelector("textarea").value || "{}");
  if (payload.client_ref === EXAMPLE_REF) payload.client_ref = makeRef();
  let url = path.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = payload[name] ?? prompt(name) ?? "";
    delete payload[name];
    return encodeURIComponent(value);
  });
  const options = { method, headers: {} };
  const token = document.getElementById("token").value.trim();
  if (token) options.headers.Authorization = `Bearer ${token}`;
  if (method === "GET") {
    const query = new URLSearchParams(payload).toString();
    if (query) url += `?${query}`;
  } else {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(payload);
  }
  return [url, options];
}

async function send(form, output) {
  const response = await fetch(...prepare(form));
  const text = await response.text();
  const isJson = response.headers.get("Content-Type")?.includes("json");
  const shown = isJson ? JSON.stringify(JSON.parse(text), null, 2) : text;
  output.textContent = `${response.status}\n${shown}`;
}

document.addEventListener("submit", (event) => {
  event.preventDefault();
  const output = event.target.querySelector("output");
  output.textContent = "…";
  send(event.target, output).catch((error) => { output.textContent = String(error); });
});

document.getElementById("filter").addEventListener("input", ({ target }) => {
  const wanted = target.value.trim().toLowerCase();
  for (const group of document.querySelectorAll("nav details")) {
    const links = [...group.querySelectorAll("li")];
    for (const link of links) link.hidden = !link.textContent.toLowerCase().includes(wanted);
    group.hidden = links.length > 0 && links.every((link) => link.hidden);
    group.open = wanted !== "" && !group.hidden;
  }
});

addEventListener("hashchange", () => { document.getElementById("menu").checked = false; });
