// @ts-check
/** A form from the signature of a model: one field per column, or the rows as JSON. */
import { html, useEffect, useRef, useState } from "../lib.js";
import { call } from "../api.js";
import { duration } from "../format.js";
import { parse, stringify } from "../json.js";
import { link } from "../router.js";
import { Failure, State, Value } from "../ui.js";

const WHOLE = /^U?INT/;
const TEXT = ["BYTES", "TIMESTAMP"];
const MOST_FIELDS = 40;

/** A value that the datatype accepts, to start from. */
const zero = (datatype) => (datatype === "BOOL" ? false : datatype === "TIMESTAMP" ? "2026-01-01T00:00:00Z" : TEXT.includes(datatype) ? "" : 0);

const fill = (sizes, value) => (sizes.length ? Array.from({ length: Math.max(sizes[0], 1) }, () => fill(sizes.slice(1), value)) : value);

/** A row that the signature accepts. */
function example(inputs) {
  if (inputs.length === 1) return fill(inputs[0].shape.slice(1), zero(inputs[0].datatype));
  return Object.fromEntries(inputs.map((tensor) => [tensor.name, tensor.nullable ? null : fill(tensor.shape.slice(1), zero(tensor.datatype))]));
}

/** The columns that fields can ask for, or null if the rows are no records of single values. */
function columns(inputs) {
  const single = inputs.length > 1 && inputs.every((tensor) => tensor.shape.length === 1);
  return single && inputs.length <= MOST_FIELDS ? inputs : null;
}

function value(text, tensor) {
  if (text === "") return tensor.nullable ? null : zero(tensor.datatype);
  if (TEXT.includes(tensor.datatype)) return text;
  if (tensor.datatype === "BOOL") return text === "true";
  // Digits beyond 2^53 are kept: the text is JSON already.
  return WHOLE.test(tensor.datatype) || Number.isFinite(Number(text)) ? parse(text) : text;
}

export function Try({ name, version, manifest }) {
  const inputs = manifest.inputs;
  const fields = columns(inputs);
  const [asJson, setAsJson] = useState(!fields);
  const [texts, setTexts] = useState({});
  const [rows, setRows] = useState(() => stringify([example(inputs)], "  "));
  const [method, setMethod] = useState(manifest.outputs?.[0]?.name ?? "");
  const [job, setJob] = useState(null);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const shown = useRef(true);
  useEffect(() => () => (shown.current = false), []);
  const record = () => Object.fromEntries(inputs.map((tensor) => [tensor.name, value(texts[tensor.name] ?? "", tensor)]));
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    setJob(null);
    try {
      let given;
      try {
        given = asJson ? parse(rows) : [record()];
      } catch (fault) {
        throw Object.assign(new Error(`The input is not JSON: ${fault.message}`), { code: "invalid_input" });
      }
      let made = await call("POST", "v1/jobs?wait=5", { body: { model: `${name}@${version}`, method: method || undefined, inputs: given } });
      setJob(made);
      while (["queued", "running"].includes(made.state) && shown.current) {
        made = await call("GET", `v1/jobs/${made.id}?wait=5`);
        setJob(made);
      }
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  const swap = () => {
    if (!asJson) setRows(stringify([record()], "  "));
    setAsJson(!asJson);
  };
  return html`<section class="card" aria-label="Try it">
    <form onSubmit=${submit}>
      <div class="head"><h2>Try it</h2><span class="grow"></span>
        ${fields && html`<button type="button" onClick=${swap}>${asJson ? "As fields" : "As JSON"}</button>`}
      </div>
      ${asJson
        ? html`<label for="rows">Rows, as JSON</label><textarea id="rows" rows="8" spellcheck="false" value=${rows} onInput=${(event) => setRows(event.target.value)}></textarea><p></p>`
        : html`<div class="fields">
            ${fields.map((tensor) => html`<div>
              <label for=${`field-${tensor.name}`}>${tensor.name}</label>
              <input id=${`field-${tensor.name}`} value=${texts[tensor.name] ?? ""} inputmode=${TEXT.includes(tensor.datatype) ? "text" : "decimal"}
                placeholder=${tensor.nullable ? "missing" : String(zero(tensor.datatype))} onInput=${(event) => setTexts({ ...texts, [tensor.name]: event.target.value })} autocomplete="off" />
            </div>`)}
          </div>`}
      <div class="actions">
        ${manifest.outputs?.length > 1 && html`<label class="hidden" for="method">Output</label>
          <select id="method" value=${method} onChange=${(event) => setMethod(event.target.value)}>${manifest.outputs.map((output) => html`<option value=${output.name}>${output.name}</option>`)}</select>`}
        <button class="main" disabled=${busy}>Predict</button>
      </div>
    </form>
    <div role="status" aria-live="polite">
      ${job && html`<p></p><p><${State} value=${job.state} /> <a href=${link(["jobs", job.id])}>Job ${job.id}</a>
        <span class="quiet"> waited ${duration(job.wait_s)}, ran ${duration(job.run_s)}</span></p>
        ${job.error && html`<${Failure} error=${{ code: job.error.code, message: job.error.detail }} />`}
        ${job.result !== undefined && html`<${Value} value=${job.result} names=${job.classes && !Array.isArray(job.classes[0]) ? job.classes : null} label="Result" />`}`}
    </div>
    <${Failure} error=${error} />
  </section>`;
}
