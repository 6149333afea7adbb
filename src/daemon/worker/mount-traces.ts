/**
 * Traces of a mount: the tracer that the miss path asks, and the exporter of the collector that is configured now. No
 * read depends on it: what keeps traces from being sent is logged.
 */
import { hostname } from 'node:os'
import { runAfter } from '../../async/timers.ts'
import type { Logger } from '../../base/logger.ts'
import { MissTracer } from '../../tracing/miss-tracer.ts'
import { OtlpClient, tracesUrlOf } from '../../tracing/otlp-client.ts'
import { SpanCounters, SpanExporter } from '../../tracing/span-exporter.ts'
import { collectorAuthorities, collectorCredentials, type TracingSettings } from '../config/tracing-settings.ts'
import { readVersion } from '../config/version.ts'

export class MountTraces {
  readonly counters = new SpanCounters()
  readonly tracer: MissTracer
  readonly #logger: Logger
  readonly #mountpoint: string
  #exporter: SpanExporter | null = null
  /** The settings and certificates that are in effect. */
  #applied = ''
  #isClosed = false

  constructor(mountpoint: string, logger: Logger) {
    this.#mountpoint = mountpoint
    this.#logger = logger
    this.tracer = new MissTracer({
      take: span => {
        if (this.#exporter) this.#exporter.add(span)
        else this.counters.dropped++
      },
      leftOut: () => {
        this.counters.dropped++
      },
      now: () => performance.now(),
      wallMs: Date.now,
      random: Math.random,
    })
  }

  /** Have these settings in effect; files are read again. Never rejects. */
  async apply(settings: TracingSettings): Promise<void> {
    try {
      const ca = await collectorAuthorities(settings)
      const { ratio, ...collector } = settings
      const wanted = JSON.stringify([collector, ca])
      if (this.#isClosed) return
      if (wanted !== this.#applied) this.#replace(settings, ca)
      this.#applied = wanted
      this.tracer.sample(this.#exporter ? ratio : 0)
    } catch (error) {
      this.#logger.error({ err: error }, 'traces are sent as before; the settings of tracing were not applied')
    }
  }

  /** Idempotent. What was not sent within a second is dropped. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.tracer.sample(0)
    await this.#exporter?.close()
  }

  #replace(settings: TracingSettings, ca: string | null): void {
    const before = this.#exporter
    this.#exporter = settings.otlp === null ? null : this.#open(settings.otlp, settings, ca)
    void before?.close() // Never rejects.
  }

  #open(base: string, settings: TracingSettings, ca: string | null): SpanExporter {
    const url = tracesUrlOf(base)
    const credentials = collectorCredentials(settings, this.#logger)
    const version = readVersion()
    this.#logger.info({ url: url.href }, 'sampled misses are traced')
    return new SpanExporter({
      client: new OtlpClient({ url, ca, credentials, requestMsMax: settings.timeout }),
      ...{ url: url.href, version, counters: this.counters, logger: this.#logger, after: runAfter },
      resource: {
        'service.name': 'parentfs',
        'service.version': version,
        'service.instance.id': `${hostname()}:${this.#mountpoint}`,
        'host.name': hostname(),
        'process.pid': process.pid,
        'parentfs.mountpoint': this.#mountpoint,
      },
    })
  }
}
