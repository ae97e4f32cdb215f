// @ts-check
/** API keys: who may do what. No text of a key is here: it is shown once, where it is created. */
import { html } from "../lib.js";
import { call, useResource } from "../api.js";
import { Action, Failure, Head, List, Loading, State, Time } from "../ui.js";

export function Keys({ session }) {
  const keys = useResource("v1/keys", 10);
  const act = (key, method, verb) => async () => {
    await call(method, `v1/keys/${encodeURIComponent(key.id)}${verb}`);
    await keys.reload();
  };
  const columns = [
    { name: "State", show: (key) => html`<${State} value=${key.disabled ? "disabled" : "active"} />` },
    { name: "Key", show: (key) => html`<span class="mono">${key.id}</span>${key.id === session.key?.id && " (this session)"}` },
    { name: "Name", show: (key) => key.name },
    { name: "Owner", show: (key) => key.owner },
    { name: "Role or scopes", show: (key) => key.role ?? key.scopes.join(", ") },
    { name: "Last used", wide: true, show: (key) => html`<${Time} at=${key.last_used_at} />` },
    { name: "Expires", wide: true, show: (key) => html`<${Time} at=${key.expires_at} />` },
    { name: "", show: (key) => key.source === "redis" ? html`<div class="actions">
        ${key.disabled
          ? html`<${Action} label="Enable" act=${act(key, "POST", "/enable")} done=${`Key ${key.id} is enabled.`} />`
          : html`<${Action} label="Disable" danger act=${act(key, "POST", "/disable")} confirm=${`Requests and sessions with key ${key.id} are refused until it is enabled.`} done=${`Key ${key.id} is disabled.`} />`}
        <${Action} label="Delete" danger act=${act(key, "DELETE", "")} confirm=${`Key ${key.id} is deleted for good.`} done=${`Key ${key.id} is deleted.`} />
      </div>` : html`<span class="quiet">keys file</span>` },
  ];
  return html`<${Head} title="Keys" /><${Loading} resource=${keys} />
    ${keys.data && html`<${Failure} error=${keys.error} />
      <${List} label="Keys" columns=${columns} items=${keys.data.items} id=${(key) => key.id} empty="No API key exists." />`}`;
}
