/**
 * DNS registry: the members are the targets of SRV records, resolved again every half minute. A name that does not
 * resolve leaves the view as it was.
 */
import type { SrvRecord } from 'node:dns'
import { PeriodicTask } from '../../async/periodic-task.ts'
import { withTimeout } from '../../async/with-timeout.ts'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { membersListedMax } from '../group/limits.ts'
import { registryRequestMsMax, resolveMs } from './limits.ts'
import type { MemberRegistry, RegistryListener, RegistryState } from './registry.ts'
import { membersOfUrls, type SharedFacts } from './static-registry.ts'

export interface DnsRegistryOptions {
  /** Of the records: `_parentfs._tcp.example`. */
  readonly name: string
  readonly scheme: 'https' | 'http'
  readonly facts: SharedFacts
  readonly logger: Logger
  readonly resolve: (name: string) => Promise<readonly SrvRecord[]>
  readonly everyMs?: number
}

export class DnsRegistry implements MemberRegistry {
  readonly #options: DnsRegistryOptions
  readonly #task: PeriodicTask
  #listener: RegistryListener | null = null
  #state: RegistryState['state'] = 'starting'
  #reason = ''
  #lists = 0

  constructor(options: DnsRegistryOptions) {
    this.#options = options
    this.#task = new PeriodicTask(options.everyMs ?? resolveMs, () => this.#resolve())
  }

  get state(): RegistryState {
    const engine = `dns:${this.#options.name}`
    return { engine, state: this.#state, reason: this.#reason, registeredAnew: 0, lists: this.#lists }
  }

  watch(listener: RegistryListener): void {
    this.#listener = listener
    this.#task.start()
    void this.#resolve() // Never rejects.
  }

  /** The zone has us. */
  register(): void {}

  async close(): Promise<void> {
    this.#task.stop()
    this.#listener = null
  }

  async #resolve(): Promise<void> {
    const { name, scheme, facts, logger, resolve } = this.#options
    this.#lists++
    try {
      const late = () => new Error(`no answer in ${registryRequestMsMax} ms`)
      const found = await withTimeout(registryRequestMsMax, resolve(name), late)
      const urls = found
        .slice(0, membersListedMax)
        .map(({ name: host, port }) => `${scheme}://${hostOfTarget(host)}:${port}`)
      this.#state = 'connected'
      this.#reason = ''
      this.#listener?.onMembers(membersOfUrls(urls, facts))
    } catch (error) {
      if (this.#state !== 'away') {
        logger.warn(
          { registry: `dns:${name}`, reason: messageOf(error) },
          'fleet registry away: the view stays as it is',
        )
      }
      this.#state = 'away'
      this.#reason = messageOf(error)
    }
  }
}

function hostOfTarget(name: string): string {
  return name.replace(/\.$/, '')
}
