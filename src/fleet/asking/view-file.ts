/**
 * View file: the members of a group as they were known last, in the cache directory. A host that starts while the
 * registry is away asks the members of before. It is a hint: a file that cannot be read or written is said once.
 */
import { randomUUID } from 'node:crypto'
import { open, readFile, rename, rm } from 'node:fs/promises'
import { SharedRun } from '../../async/shared-run.ts'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { membersMax } from '../group/limits.ts'
import { formatMember, type Member, parseMember } from '../group/member.ts'

/** The contents of the file. */
export interface RememberedView {
  readonly members: readonly Member[]
  /** This host has been a member since, in milliseconds since 1970; null: it never was. */
  readonly memberSince: number | null
}

/** Longest file that is read. */
const fileBytesMax = 4 * 1024 ** 2

const nothing: RememberedView = { members: [], memberSince: null }

export class ViewFile {
  readonly #path: string
  readonly #group: string
  readonly #logger: Logger
  readonly #writing = new SharedRun()
  #wanted: RememberedView | null = null
  #written = ''
  #hasFailed = false

  /** @param path of the file; another one beside it takes its place */
  constructor(path: string, group: string, logger: Logger) {
    this.#path = path
    this.#group = group
    this.#logger = logger
  }

  /** Never rejects: without a usable file, nothing is remembered. */
  async read(): Promise<RememberedView> {
    try {
      const text = await readFile(this.#path, 'utf8')
      return text.length > fileBytesMax ? nothing : this.#parse(text)
    } catch {
      return nothing
    }
  }

  /** Keep this view. Views that come while one is written are one. */
  keep(view: RememberedView): void {
    this.#wanted = view
    void this.#writing.run(() => this.#write()) // Never rejects.
  }

  /** Resolves when what was to be kept is, or failed. */
  async settled(): Promise<void> {
    await this.#writing.current
  }

  #parse(text: string): RememberedView {
    const { group, members, memberSince } = JSON.parse(text) as Record<string, unknown>
    if (group !== this.#group || !Array.isArray(members)) return nothing
    const known = members.slice(0, membersMax).map(each => {
      const [id, record] = Array.isArray(each) ? (each as unknown[]) : []
      return typeof id === 'string' && typeof record === 'string' ? parseMember(id, record) : null
    })
    const since = Number.isSafeInteger(memberSince) ? (memberSince as number) : null
    return { members: known.filter(member => member !== null), memberSince: since }
  }

  async #write(): Promise<void> {
    for (let view = this.#wanted; view !== null; view = this.#wanted) {
      this.#wanted = null
      const members = view.members.map(member => [member.id, formatMember(member)])
      const text = `${JSON.stringify({ group: this.#group, memberSince: view.memberSince, members })}\n`
      if (text === this.#written) continue
      const beside = `${this.#path}.${randomUUID().slice(0, 8)}`
      try {
        const file = await open(beside, 'wx', 0o600)
        await file.writeFile(text).finally(() => file.close())
        await rename(beside, this.#path)
        this.#written = text
      } catch (error) {
        await rm(beside, { force: true }).catch(() => {}) // The first error says more.
        if (!this.#hasFailed) this.#logger.warn({ reason: messageOf(error) }, 'the members of the fleet are not kept')
        this.#hasFailed = true
      }
    }
  }
}
