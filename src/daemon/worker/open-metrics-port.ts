/** The port for metrics, which no mount depends on. */
import { MetricsPort } from '../../admin/metrics-port.ts'
import type { Logger } from '../../base/logger.ts'

/**
 * Opens the port for metrics. A restarted worker must not fail because another process has taken the port meanwhile:
 * reads do not need it.
 * @param port null: none is wanted
 */
export async function openMetricsPort(
  port: number | null,
  text: () => Promise<string>,
  logger: Logger,
): Promise<MetricsPort | null> {
  if (port === null) return null
  try {
    return await MetricsPort.listen(port, text)
  } catch (error) {
    logger.error({ err: error }, 'there are no metrics on the port; the mount goes on without')
    return null
  }
}
