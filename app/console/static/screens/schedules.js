// @ts-check
/** Schedules: what starts at planned times. */
import { html } from "../lib.js";
import { call, useResource } from "../api.js";
import { duration } from "../format.js";
import { link } from "../router.js";
import { Action, Failure, Head, List, Loading, State, Time } from "../ui.js";
import { may } from "./permissions.js";

export function Schedules({ session }) {
  const schedules = useResource("v1/schedules", 5);
  const act = (schedule, method, verb) => async () => {
    await call(method, `v1/schedules/${encodeURIComponent(schedule.name)}${verb}`);
    await schedules.reload();
  };
  const columns = [
    { name: "State", show: (schedule) => html`<${State} value=${schedule.paused ? "paused" : "active"} />` },
    { name: "Schedule", show: (schedule) => html`<a href=${link(["schedules", schedule.name])}>${schedule.name}</a><div class="quiet">${schedule.description}</div>` },
    { name: "Runs", show: (schedule) => Object.keys(schedule.run)[0] },
    { name: "Times", show: (schedule) => (schedule.cron ? html`<code>${schedule.cron}</code> ${schedule.timezone}` : `every ${duration(schedule.every_s)}`) },
    { name: "Next", show: (schedule) => html`<${Time} at=${schedule.next_at} /><div class="quiet">${schedule.waits_for}</div>` },
    { name: "Owner", wide: true, show: (schedule) => schedule.owner ?? "default" },
    ...(may(session, "operate")
      ? [{ name: "", show: (schedule) => html`<div class="actions">
            <${Action} label="Run now" act=${act(schedule, "POST", "/run")} done=${`A run of ${schedule.name} has started.`} />
            <${Action} label=${schedule.paused ? "Resume" : "Pause"} act=${act(schedule, "POST", schedule.paused ? "/resume" : "/pause")} />
            <${Action} label="Delete" danger act=${act(schedule, "DELETE", "")} confirm=${`${schedule.name} is deleted with its history.`} />
          </div>` }]
      : []),
  ];
  return html`<${Head} title="Schedules" /><${Loading} resource=${schedules} />
    ${schedules.data && html`<${Failure} error=${schedules.error} />
      <${List} label="Schedules" columns=${columns} items=${schedules.data.items} id=${(schedule) => schedule.name} empty="No schedule exists." />`}`;
}
