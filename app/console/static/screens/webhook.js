// @ts-check
/** One webhook: what was sent to it, what it answered, and a way to send it again. */
import { html } from "../lib.js";
import { call, query, useResource } from "../api.js";
import { local } from "../format.js";
import { go, link } from "../router.js";
import { Action, Facts, Failure, Head, List, Loading, Pager, State, Time } from "../ui.js";

const subject = (delivery) => {
  if (delivery.job) return html`<a class="mono" href=${link(["jobs", delivery.job])}>${delivery.job}</a>`;
  if (delivery.batch) return html`<a class="mono" href=${link(["batches", delivery.batch])}>${delivery.batch}</a>`;
  return delivery.audit ?? delivery.model ?? "";
};
const outcome = (attempt) => attempt.error || `status ${attempt.status}`;

export function Webhook({ id, search }) {
  const address = `v1/webhooks/${encodeURIComponent(id)}`;
  const resource = useResource(address, 5);
  const deliveries = useResource(`${address}/deliveries${query({ limit: 50, cursor: search.cursor })}`, 5);
  const webhook = resource.data;
  if (!webhook) return html`<${Head} title=${id} /><${Loading} resource=${resource} />`;
  const replay = (delivery) => async () => {
    await call("POST", `${address}/deliveries/${encodeURIComponent(delivery.id)}/replay`);
    await deliveries.reload();
  };
  const columns = [
    { name: "State", show: (delivery) => html`<${State} value=${delivery.state} />` },
    { name: "Event", show: (delivery) => delivery.type },
    { name: "About", show: subject },
    { name: "Attempts", number: true, show: (delivery) => delivery.attempts.length },
    { name: "Last answer", show: (delivery) => (delivery.attempts.length ? outcome(delivery.attempts.at(-1)) : "") },
    { name: "Next attempt", wide: true, show: (delivery) => html`<${Time} at=${delivery.next_attempt_at} />` },
    { name: "Created", wide: true, show: (delivery) => html`<${Time} at=${delivery.created_at} />` },
    { name: "", show: (delivery) => html`<${Action} label="Send again" act=${replay(delivery)} done="The event is sent again." />` },
  ];
  return html`<${Head} title=${`Webhook ${webhook.id}`} />
    ${webhook.description && html`<p>${webhook.description}</p>`}
    <${Failure} error=${resource.error} />
    <section class="card" aria-label="Facts">
      <${Facts} items=${[
        ["State", html`<${State} value=${webhook.disabled ? "disabled" : "active"} /> ${webhook.disabled_reason}`],
        ["URL", html`<span class="mono">${webhook.url}</span>`],
        ["Events", webhook.events.join(", ")],
        ["Models", webhook.models.join(", ") || "all"],
        ["Failures", webhook.failures],
        ["Failing since", webhook.failing_since && local(webhook.failing_since)],
      ]} />
    </section>
    <h2>Deliveries</h2>
    <${Loading} resource=${deliveries} />
    ${deliveries.data && html`<${List} label="Deliveries" columns=${columns} items=${deliveries.data.items} id=${(delivery) => delivery.id} empty="Nothing was sent yet." />
      <${Pager} cursor=${search.cursor} next=${deliveries.data.next} go=${(cursor) => go(link(["webhooks", id], { cursor }))} />`}`;
}
