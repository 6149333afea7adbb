/**
 * Live status: the part of a status that costs no walk over the images. A page gets it each second.
 */
import type { Status } from '../admin/status.ts'

type Cheap = Omit<Status, 'images' | 'cache' | 'librbd'>

export interface LiveStatus extends Cheap {
  readonly cache: Status['cache'] & {
    /** Known images. */
    readonly images: number
  }
}
