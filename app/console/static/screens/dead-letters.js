// @ts-check
/** Dead letters: jobs that failed for good. Replay or discard all that the filters match. */
import { html, useState } from "../lib.js";
import { call, query, useResource } from "../api.js";
import { count } from "../format.js";
import { go, link } from "../router.js";
import { Action, Failure, Head, List, Loading, Pager, Time, toast } from "../ui.js";

const COLUMNS = [
  { name: "Error", show: (letter) => html`<span class="bad">${letter.error.code}</span>` },
  { name: "Job", show: (letter) => html`<a class="mono" href=${link(["dead-letters", letter.id])}>${letter.id}</a>` },
  { name: "Model", show: (letter) => `${letter.model}@${letter.version}` },
  { name: "Owner", wide: true, show: (letter) => letter.owner ?? "default" },
  { name: "Rows", number: true, wide: true, show: (letter) => count(letter.rows) },
  { name: "Attempts", number: true, wide: true, show: (letter) => letter.attempts.length },
  { name: "Detail", clip: true, wide: true, show: (letter) => letter.error.detail },
  { name: "Died", show: (letter) => html`<${Time} at=${letter.died_at} />` },
];

export function DeadLetters({ search }) {
  const wanted = { model: search.model, error: search.error };
  const letters = useResource(`v1/dead-letters${query({ limit: 50, ...wanted, cursor: search.cursor })}`, search.cursor ? 0 : 5);
  const [progress, setProgress] = useState("");
  const filter = (event) => {
    event.preventDefault();
    const fields = event.target.elements;
    go(link(["dead-letters"], { model: fields.model.value.trim(), error: fields.error.value.trim() }));
  };
  const every = Object.values(wanted).some(Boolean) ? wanted : { all: "true" };
  /** Pages through all that match; the server does the work of a page in one call. */
  const all = async (method, path, limit, add) => {
    let cursor;
    do {
      const page = await call(method, `${path}${query({ ...every, limit, cursor })}`);
      setProgress(add(page));
      cursor = page.next;
    } while (cursor);
    await letters.reload();
  };
  const replay = async () => {
    let made = 0;
    let refused = 0;
    await all("POST", "v1/dead-letters/replay", 100, (page) => {
      made += page.replayed;
      refused += page.refused.length;
      return `${made} replayed, ${refused} refused`;
    });
    setProgress("");
    toast(`${count(made)} jobs were submitted again. ${count(refused)} were refused and kept.`);
  };
  const discard = async () => {
    let gone = 0;
    await all("DELETE", "v1/dead-letters", 1000, (page) => `${(gone += page.discarded)} discarded`);
    setProgress("");
    toast(`${count(gone)} dead letters were discarded.`);
  };
  const matching = [search.model && `model ${search.model}`, search.error && `error ${search.error}`].filter(Boolean).join(" and ") || "no filter: all of them";
  const none = !letters.data?.items.length;
  return html`<${Head} title="Dead letters">
      <${Action} label="Replay all that match" disabled=${none} act=${replay} confirm=${`Each becomes a new job with the same input (${matching}).`}>
        <p role="status">${progress}</p><//>
      <${Action} label="Discard all that match" danger disabled=${none} act=${discard} confirm=${`They are deleted with their input for good (${matching}).`}>
        <p role="status">${progress}</p><//>
    <//>
    <form class="chips" role="search" onSubmit=${filter}>
      <label class="hidden" for="model">Model</label>
      <input id="model" data-search name="model" placeholder="Model or model@version" defaultValue=${search.model ?? ""} autocomplete="off" />
      <label class="hidden" for="error">Error code</label>
      <input id="error" name="error" placeholder="Error code" defaultValue=${search.error ?? ""} autocomplete="off" />
      <button>Filter</button>
      ${(search.model || search.error) && html`<a href="#/dead-letters">Clear</a>`}
    </form>
    <${Loading} resource=${letters} />
    ${letters.data &&
    html`<${Failure} error=${letters.error} />
      <${List} label="Dead letters" columns=${COLUMNS} items=${letters.data.items} id=${(letter) => letter.id} empty="No dead letter matches." />
      <${Pager} cursor=${search.cursor} next=${letters.data.next} go=${(cursor) => go(link(["dead-letters"], { ...search, cursor }))} />`}`;
}
