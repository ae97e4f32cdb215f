// @ts-check

/**
 * Whether the caller has a scope. The server decides; this only leaves out buttons that it would refuse.
 * @param {any} session @param {string} scope
 */
export const may = (session, scope) => !session.key || session.key.scopes.includes(scope);
