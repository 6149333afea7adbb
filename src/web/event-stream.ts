/**
 * Event stream: one text of server-sent events for all watchers, made once. A watcher that does not keep up skips
 * events until its socket has drained, and is ended when nothing drains: it never has more than one greeting and one
 * event.
 * Source: HTML standard, Server-sent events, parsing an event stream.
 */
import type { ServerResponse } from 'node:http'
import { webWatcherStallMs, webWatchersMax } from './limits.ts'

interface Watcher {
  readonly response: ServerResponse
  /** Since when its socket is full; null: it is not. */
  fullMs: number | null
}

export class EventStream {
  readonly #watchers = new Set<Watcher>()
  readonly #now: () => number
  #refused = 0
  #skipped = 0
  #closed = false

  /** @param now milliseconds, never going back */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  get watchers(): number {
    return this.#watchers.size
  }

  /** Watchers over the bound, and events that slow ones did not get. */
  get counters(): { readonly refused: number; readonly skipped: number } {
    return { refused: this.#refused, skipped: this.#skipped }
  }

  /** @returns false when there are too many, and nothing was answered */
  join(response: ServerResponse, headers: Readonly<Record<string, string>>, greeting: string): boolean {
    if (this.#closed || this.#watchers.size >= webWatchersMax) {
      this.#refused++
      return false
    }
    // A page that has left already would never leave again.
    if (response.destroyed) return true
    response.writeHead(200, { ...headers, 'content-type': 'text/event-stream; charset=utf-8', connection: 'close' })
    const watcher: Watcher = { response, fullMs: null }
    this.#watchers.add(watcher)
    const leave = () => void this.#watchers.delete(watcher)
    response.once('close', leave)
    response.once('error', leave)
    response.on('drain', () => {
      watcher.fullMs = null
    })
    this.#write(watcher, greeting)
    return true
  }

  /** Send an event to all that have room for it. */
  send(event: string): void {
    for (const watcher of this.#watchers) {
      if (watcher.fullMs === null) this.#write(watcher, event)
      else {
        this.#skipped++
        if (this.#now() - watcher.fullMs >= webWatcherStallMs) watcher.response.destroy()
      }
    }
  }

  /** End all streams. Idempotent. */
  close(): void {
    this.#closed = true
    for (const { response } of this.#watchers) response.destroy()
    this.#watchers.clear()
  }

  #write(watcher: Watcher, text: string): void {
    if (!watcher.response.write(text)) watcher.fullMs = this.#now()
  }
}

/** One event as text. */
export function eventOf(name: string, data: unknown): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
}
