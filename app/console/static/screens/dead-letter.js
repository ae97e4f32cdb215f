// @ts-check
/** One dead letter: its error, its attempts and its input, which can be corrected and replayed. */
import { html, useState } from "../lib.js";
import { call, useResource } from "../api.js";
import { local } from "../format.js";
import { parse, stringify } from "../json.js";
import { go, link } from "../router.js";
import { Action, Facts, Head, List, Loading, Value } from "../ui.js";

const ATTEMPTS = [
  { name: "Attempt", number: true, show: (attempt) => attempt.number },
  { name: "Started", show: (attempt) => local(attempt.started_at) },
  { name: "Worker", show: (attempt) => html`<span class="mono">${attempt.worker}</span>` },
];

export function DeadLetter({ id }) {
  const resource = useResource(`v1/dead-letters/${encodeURIComponent(id)}`);
  const letter = resource.data;
  const [edited, setEdited] = useState(null);
  const [model, setModel] = useState("");
  if (!letter) return html`<${Head} title=${`Dead letter ${id}`} /><${Loading} resource=${resource} />`;
  const replay = async () => {
    const body = {};
    if (edited !== null) {
      try {
        body.inputs = parse(edited);
      } catch (error) {
        throw new Error(`The input is not JSON: ${error.message}`);
      }
    }
    if (model.trim()) body.model = model.trim();
    const job = await call("POST", `v1/dead-letters/${encodeURIComponent(id)}/replay`, { body });
    go(link(["jobs", job.id]));
  };
  const discard = async () => {
    await call("DELETE", `v1/dead-letters/${encodeURIComponent(id)}`);
    go(link(["dead-letters"]));
  };
  const attempts = letter.attempts.map((attempt, place) => ({ ...attempt, number: place + 1 }));
  return html`<${Head} title=${`Dead letter ${letter.id}`}>
      <${Action} label="Replay" main act=${replay} done="A new job was submitted." />
      <${Action} label="Discard" danger act=${discard} confirm="The letter is deleted with its input for good." done="The letter was discarded." />
    <//>
    <div class="columns">
      <section class="card" aria-label="Facts">
        <${Facts} items=${[
          ["Model", html`<a href=${link(["models", letter.model])}>${letter.model}@${letter.version}</a>`],
          ["Method", letter.method],
          ["Rows", letter.rows],
          ["Owner", letter.owner ?? "default"],
          ["Died", local(letter.died_at)],
        ]} />
      </section>
      <section class="card failure" aria-label="Error"><h2>Error</h2><p><strong>${letter.error.code}</strong></p><p>${letter.error.detail}</p></section>
    </div>
    <section class="card" aria-label="Attempts"><h2>Attempts</h2>
      <${List} label="Attempts" columns=${ATTEMPTS} items=${attempts} id=${(attempt) => attempt.number} empty="No attempt was recorded." />
    </section>
    ${letter.traceback && html`<section class="card" aria-label="Traceback"><h2>Traceback</h2><pre tabindex="0">${letter.traceback}</pre></section>`}
    <section class="card" aria-label="Input">
      <div class="head"><h2>Input</h2><span class="grow"></span>
        ${edited === null
          ? html`<button type="button" onClick=${() => setEdited(stringify(letter.inputs, "  "))}>Edit</button>`
          : html`<button type="button" onClick=${() => setEdited(null)}>Undo changes</button>`}
      </div>
      ${edited === null
        ? html`<${Value} value=${letter.inputs} label="Input" />`
        : html`<label for="inputs">Input of the replay, as JSON</label>
            <textarea id="inputs" rows="12" spellcheck="false" value=${edited} onInput=${(event) => setEdited(event.target.value)}></textarea>`}
      <p></p>
      <label for="replay-model">Model of the replay</label>
      <input id="replay-model" value=${model} placeholder=${`${letter.model}@${letter.version}`} onInput=${(event) => setModel(event.target.value)} autocomplete="off" />
    </section>`;
}
