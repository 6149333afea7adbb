/** The serving port of a worker: its settings as src/fleet/server/ wants them. */
import { readFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import type { Logger } from '../../base/logger.ts'
import { FleetService, type FleetServiceContext, type ServingSettings } from '../../fleet/server/fleet-service.ts'
import { serveRateDefault } from '../../fleet/server/limits.ts'
import type { Addon } from '../../native/addon.ts'
import { Secret } from '../../origin/http/secret.ts'
import { addressOf, type FleetSettings } from '../config/fleet-settings.ts'

/** Bytes a second of one Mbit/s. */
const bytesOfMbit = 125_000

/** The service, not opened yet. */
export async function createFleetService(
  fleet: FleetSettings,
  addon: Pick<Addon, 'crc32c'>,
  parts: Omit<FleetServiceContext, 'crc32c'>,
): Promise<FleetService> {
  const settings = await servingSettingsOf(fleet, parts.logger)
  return new FleetService(settings, { ...parts, crc32c: bytes => addon.crc32c(bytes) })
}

/** The settings of the serving port; its rate is half of what the network card says of itself, unless it is set. */
export async function servingSettingsOf(fleet: FleetSettings, logger: Logger): Promise<ServingSettings> {
  const listen = fleet.listen === null ? null : addressOf(fleet.listen)
  const { ca, certificate, key } = fleet.tls
  const secret = fleet.token && new Secret(fleet.token, { logger })
  return {
    listen,
    tls: certificate !== null && key !== null ? { ca, certificate, key } : null,
    token: secret ? () => secret.value() : null,
    isOpen: fleet.insecure === true && ca === null && !secret,
    bytesPerSecond: fleet.serveRate ?? (await halfOfLink(listen?.host)) ?? serveRateDefault,
  }
}

/** Null where no card has the address, or it does not say its speed. */
async function halfOfLink(host: string | undefined): Promise<number | null> {
  const cards = Object.entries(networkInterfaces())
  const name = cards.find(([, addresses]) => addresses?.some(({ address }) => address === host))?.[0]
  if (name === undefined) return null
  try {
    // Source: Linux Documentation/ABI/testing/sysfs-class-net, in Mbit/s; -1 or an error where it is unknown.
    const mbit = Number(await readFile(`/sys/class/net/${name}/speed`, 'latin1'))
    return mbit > 0 ? (mbit * bytesOfMbit) / 2 : null
  } catch {
    return null
  }
}
