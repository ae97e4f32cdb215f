// @ts-check
/** Webhooks: receivers of events, and whether they answer. */
import { html } from "../lib.js";
import { call, useResource } from "../api.js";
import { link } from "../router.js";
import { Action, Failure, Head, List, Loading, State, Time } from "../ui.js";

export function Webhooks() {
  const webhooks = useResource("v1/webhooks", 5);
  const act = (webhook, method, body) => async () => {
    await call(method, `v1/webhooks/${encodeURIComponent(webhook.id)}`, body ? { body } : {});
    await webhooks.reload();
  };
  const columns = [
    { name: "State", show: (webhook) => html`<${State} value=${webhook.disabled ? "disabled" : "active"} /><div class="quiet">${webhook.disabled_reason}</div>` },
    { name: "URL", show: (webhook) => html`<a class="mono" href=${link(["webhooks", webhook.id])}>${webhook.url}</a><div class="quiet">${webhook.description}</div>` },
    { name: "Events", show: (webhook) => webhook.events.join(", ") },
    { name: "Models", wide: true, show: (webhook) => webhook.models.join(", ") },
    { name: "Failures", number: true, show: (webhook) => webhook.failures },
    { name: "Failing since", wide: true, show: (webhook) => html`<${Time} at=${webhook.failing_since} />` },
    { name: "", show: (webhook) => html`<div class="actions">
        ${webhook.disabled && html`<${Action} label="Enable" act=${act(webhook, "PATCH", { disabled: false })} done="The webhook is enabled." />`}
        <${Action} label="Delete" danger act=${act(webhook, "DELETE")} confirm="Its waiting deliveries are dropped." done="The webhook is deleted." />
      </div>` },
  ];
  return html`<${Head} title="Webhooks" /><${Loading} resource=${webhooks} />
    ${webhooks.data && html`<${Failure} error=${webhooks.error} />
      <${List} label="Webhooks" columns=${columns} items=${webhooks.data.items} id=${(webhook) => webhook.id} empty="No webhook is registered." />`}`;
}
