/**
 * URLs without user names and passwords, fit for messages, logs and status.
 */
/** Any text that was meant as a URL, fit for messages. */
export function withoutCredentials(url: string): string {
  return url.replace(/\/\/[^/]*@/, '//')
}
