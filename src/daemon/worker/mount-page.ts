/**
 * The page of a mount: for the admin socket, and on a TCP port (`web.listen`). No mount depends on it: what keeps the
 * port from being served is logged, and a reload tries again.
 */
import type { AdminOperations } from '../../admin/routes.ts'
import type { Logger } from '../../base/logger.ts'
import { Secret } from '../../origin/http/secret.ts'
import { planInProcess } from '../../web/plan-process.ts'
import { PlanReports } from '../../web/plan-report.ts'
import { isSameText, Sessions } from '../../web/sessions.ts'
import { WebGate } from '../../web/web-gate.ts'
import { WebListener, type WebListenerOptions } from '../../web/web-listener.ts'
import { WebPages, type WebSource } from '../../web/web-pages.ts'
import {
  certificateOf,
  isLoopbackHost,
  type ListenAddress,
  listenAddressOf,
  tokenOf,
  type WebSettings,
} from '../config/web-settings.ts'

/** The contents of the page, and the log of uses that its curve is made of. */
export type MountPageSource = WebSource & { readonly operations: Pick<AdminOperations, 'planBasis'> }

export class MountPage {
  readonly #pages: WebPages
  readonly #stop = new AbortController()
  readonly #logger: Logger
  #listener: WebListener | null = null
  /** The settings and certificate that are in effect. */
  #applied = ''

  constructor(source: MountPageSource, logger: Logger) {
    const plans = new PlanReports(
      async () => source.operations.planBasis(),
      (basis, capacities) => planInProcess(basis, capacities, this.#stop.signal),
    )
    this.#pages = new WebPages({ ...source, reports: { ...source.reports, plan: () => plans.get() } })
    this.#logger = logger
  }

  /** See {@link WebPages.handle}: for peers that are trusted. */
  readonly handle: WebPages['handle'] = (...request) => this.#pages.handle(...request)

  /** Connections over the bound. */
  get refused(): number {
    return this.#listener?.refused ?? 0
  }

  /** Have these settings in effect; a certificate is read again. Never rejects. */
  async apply(settings: WebSettings): Promise<void> {
    try {
      const address = settings.listen === null ? null : listenAddressOf(settings.listen)
      const tls = address && (await certificateOf(settings))
      const wanted = JSON.stringify([settings, tls && [`${tls.certificate}`, `${tls.key}`]])
      if (wanted === this.#applied) return
      await this.#closePort()
      if (!address) return
      this.#listener = await this.#open(settings, address, tls)
      this.#applied = wanted
      this.#logger.info({ address: settings.listen }, 'the page is served')
    } catch (error) {
      this.#logger.error({ err: error }, 'there is no page at web.listen; the mount goes on without')
    }
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#stop.abort()
    this.#pages.close()
    await this.#closePort()
  }

  async #closePort(): Promise<void> {
    this.#applied = ''
    await this.#listener?.close()
    this.#listener = null
  }

  async #open(settings: WebSettings, address: ListenAddress, tls: WebListenerOptions['tls']): Promise<WebListener> {
    const secret = new Secret(settings.token!, { logger: this.#logger })
    const token = () => tokenOf(secret)
    let sessions = { of: await token(), sessions: new Sessions(await token()) }
    const gate = new WebGate({
      handler: this.handle,
      isOurHost: name => name === address.host || isLoopbackHost(name) || settings.hosts.includes(name),
      login: async said => isSameText(said, await token()),
      sessions: async () => {
        const of = await token()
        if (of !== sessions.of) sessions = { of, sessions: new Sessions(of) }
        return sessions.sessions
      },
      allowsActions: settings.allowActions === true,
    })
    const host = address.host.replace(/^\[|\]$/g, '')
    const handle: WebListenerOptions['handle'] = (request, response) => gate.handle(request, response)
    return WebListener.listen({ host, port: address.port, tls, handle })
  }
}
