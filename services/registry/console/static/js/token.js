/** The token that goes along with changes: that of this page's session, which another tab may renew. */

const meta = (name, root = document) => root.querySelector(`meta[name="${name}"]`)?.content;

/** What changes carry as `X-CSRF-Token`. */
export const csrfToken = () => meta("csrf-token");

/** Go on in another session, whose token is this. */
export function adopt(token) {
  document.querySelector('meta[name="csrf-token"]').content = token;
  for (const field of document.querySelectorAll('input[name="csrf_token"]')) field.value = token;
}

/**
 * Whether there is another token by now than `sent`, which was refused: the browser may have another
 * session, whose token then is this page's.
 *
 * Somebody else's is not taken: what this page shows would be sent in their name.
 */
export async function renewed(sent) {
  if (csrfToken() !== sent) return true; // another call of this page was told first
  const response = await fetch(location.href, {
    headers: { "X-Fragment": "token" },
    credentials: "same-origin",
    cache: "no-store",
  });
  if (!response.ok) return false;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const token = meta("csrf-token", page);
  if (!token || token === sent || meta("owner", page) !== meta("owner")) return false;
  adopt(token);
  return true;
}
