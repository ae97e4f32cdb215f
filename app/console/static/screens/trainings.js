// @ts-check
/** Trainings: jobs whose outcome is a version of a model. */
import { html } from "../lib.js";
import { call, query, useResource } from "../api.js";
import { duration } from "../format.js";
import { go, link } from "../router.js";
import { Action, Failure, Head, List, Loading, Pager, State, Time } from "../ui.js";
import { may } from "./permissions.js";

export function Trainings({ search, session }) {
  const trainings = useResource(`v1/trainings${query({ limit: 50, cursor: search.cursor })}`, 3);
  const cancel = (job) => async () => {
    await call("DELETE", `v1/trainings/${encodeURIComponent(job.id)}`);
    await trainings.reload();
  };
  const columns = [
    { name: "State", show: (job) => html`<${State} value=${job.state} />` },
    { name: "Training", show: (job) => html`<a class="mono" href=${link(["jobs", job.id])}>${job.id}</a><div class="quiet">${job.error?.detail ?? job.waits_for ?? job.progress?.text}</div>` },
    { name: "Model", show: (job) => job.model },
    { name: "Owner", wide: true, show: (job) => job.owner ?? "default" },
    { name: "Run", number: true, show: (job) => duration(job.run_s) },
    { name: "Created", show: (job) => html`<${Time} at=${job.created_at} />` },
    ...(may(session, "train")
      ? [{ name: "", show: (job) => ["queued", "running"].includes(job.state) && html`<${Action} label="Cancel" danger act=${cancel(job)} confirm="It creates no version." done="The training is cancelled." />` }]
      : []),
  ];
  return html`<${Head} title="Trainings" /><${Loading} resource=${trainings} />
    ${trainings.data && html`<${Failure} error=${trainings.error} />
      <${List} label="Trainings" columns=${columns} items=${trainings.data.items} id=${(job) => job.id} empty="No training exists." />
      <${Pager} cursor=${search.cursor} next=${trainings.data.next} go=${(cursor) => go(link(["trainings"], { cursor }))} />`}`;
}
