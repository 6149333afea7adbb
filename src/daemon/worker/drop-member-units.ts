/**
 * Drops the units of a member that lied: from readers at once, and then from the store.
 */
import { messageOf } from '../../base/errors.ts'
import { blocksPerObject, maskOf } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import type { SecondHandUnit } from '../../fleet/asking/second-hand-audit.ts'
import { unitBlocks } from '../../fleet/wire/wire.ts'
import type { Store } from '../../store/store.ts'

/** Never rejects: what cannot be dropped is said. */
export async function dropMemberUnits(
  store: Pick<Store, 'find'>,
  units: readonly SecondHandUnit[],
  logger: Logger,
): Promise<void> {
  const unitsOfObject = blocksPerObject / unitBlocks
  for (const { imageId, unit } of units) {
    const stored = store.find(imageId)
    if (!stored) continue
    const object = Math.floor(unit / unitsOfObject)
    const blocks = maskOf({ first: (unit % unitsOfObject) * unitBlocks, count: unitBlocks })
    try {
      stored.file.removeBuffered()
      await stored.abandon(object, blocks & stored.held(object))
    } catch (error) {
      logger.error({ image: stored.image.key, unit, reason: messageOf(error) }, 'a unit of a member that lied stays')
    }
  }
}
