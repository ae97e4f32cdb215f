// @ts-check
/** Jobs: the newest first, with filters in the address. What is new is announced and moves no row. */
import { html, useEffect, useState } from "../lib.js";
import { get, query, useResource } from "../api.js";
import { count, duration } from "../format.js";
import { go, link } from "../router.js";
import { Failure, Head, List, Loading, Pager, State, Time } from "../ui.js";
import { Bulk, BulkProgress } from "./bulk.js";
import { JobFilters, filtersOf } from "./job-filters.js";
import { may } from "./permissions.js";

const OPEN = [undefined, "queued", "running"];
const EVERY_S = 3;
const LIMIT = 50;
const NONE_YET = "No job matches among the last 1,000 that were looked at. Older ones may.";

const COLUMNS = [
  { name: "State", show: (job) => html`<${State} value=${job.state} />` },
  { name: "Model", show: (job) => subject(job) },
  { name: "Job", show: (job) => html`<a class="mono" href=${link(["jobs", job.id])}>${job.id}</a>` },
  { name: "Owner", wide: true, show: (job) => job.owner ?? "default" },
  { name: "Rows", number: true, wide: true, show: (job) => count(job.rows) },
  { name: "Attempt", number: true, wide: true, show: (job) => job.attempt },
  { name: "Wait", number: true, show: (job) => duration(job.wait_s) },
  { name: "Run", number: true, show: (job) => duration(job.run_s) },
  { name: "Created", show: (job) => html`<${Time} at=${job.created_at} />` },
];

/** @param {any} job */
export function subject(job) {
  if (job.pipeline) return job.step ? `${job.pipeline} › ${job.step}` : job.pipeline;
  return job.model ? `${job.model}${job.version ? `@${job.version}` : ""}` : (job.kind ?? "–");
}

export function Jobs({ search, session }) {
  const [shown, setShown] = useState([]);
  const [live, setLive] = useState(true);
  const filters = filtersOf(search);
  const path = `v1/jobs${query({ limit: LIMIT, ...filters, cursor: search.cursor })}`;
  const jobs = useResource(path, live && !search.cursor ? EVERY_S : 0);
  useEffect(() => setShown([]), [path]);
  useFollowing(jobs.data, shown, setShown);
  const rows = shown.length || !jobs.data ? shown : jobs.data.items;
  const ids = new Set(rows.map((job) => job.id));
  const unseen = jobs.data ? jobs.data.items.filter((job) => !ids.has(job.id) && job.id > (rows[0]?.id ?? "")) : [];
  const { error, ...cancelled } = filters;
  const letters = { model: filters.model, error };
  const deadLettersOnly = query(filters) === query({ state: "failed", ...letters });
  return html`<${Head} title="Jobs">
      <button type="button" aria-pressed=${live} onClick=${() => setLive(!live)}>${live ? "Pause updates" : "Resume updates"}</button>
      ${OPEN.includes(search.state) && !error && may(session, "predict") && html`<${Bulk} label="Cancel all that match" danger verb="cancel" filter=${cancelled}
        confirm="Jobs that run are interrupted. Those that have ended stay as they are. The server continues if you close this page." />`}
      ${deadLettersOnly && may(session, "operate") && html`<${Bulk} label="Replay all that match" verb="replay" filter=${letters}
        confirm="Each dead letter becomes a new job with the same input. Failed jobs without a dead letter are left out." />`}
    <//>
    <${BulkProgress} />
    <${JobFilters} search=${search} />
    <${Loading} resource=${jobs} />
    ${jobs.data &&
    html`<${Failure} error=${jobs.error} />
      <div role="status" aria-live="polite">
        ${unseen.length > 0 && html`<p><button type="button" onClick=${() => setShown(jobs.data.items)}>Show ${unseen.length}${unseen.length === LIMIT ? " or more" : ""} new jobs</button></p>`}
      </div>
      <${List} label="Jobs" columns=${COLUMNS} items=${rows} id=${(job) => job.id} empty=${jobs.data.next ? NONE_YET : "No job matches."} />
      <${Pager} cursor=${search.cursor} next=${jobs.data.next} go=${(cursor) => go(link(["jobs"], { ...search, cursor }))} />`}`;
}

/** Keeps the rows that are shown in their places, and brings each up to date. */
function useFollowing(data, shown, setShown) {
  useEffect(() => {
    if (!data) return undefined;
    let ended = false;
    const fresh = new Map(data.items.map((job) => [job.id, job]));
    setShown((before) => (before.length ? before.map((job) => fresh.get(job.id) ?? job) : data.items));
    // Rows that left the first page, or no longer match the filter, are read one by one while they have not ended.
    const left = shown.filter((job) => !fresh.has(job.id) && ["queued", "running"].includes(job.state)).slice(0, 3);
    Promise.all(left.map((job) => get(`v1/jobs/${job.id}`).catch(() => job))).then((read) => {
      const changed = new Map(read.map((job) => [job.id, job]));
      if (!ended && read.length) setShown((before) => before.map((job) => changed.get(job.id) ?? job));
    });
    return () => {
      ended = true;
    };
  }, [data]);
}
