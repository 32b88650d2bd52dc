/**
 * Payloads that this page has seen lately, by what was asked: going back to one asks nobody.
 */

const ROOM_FOR = 96 << 20; // bytes

export class Lookup {
  constructor() {
    this.held = new Map();
  }

  get(key) {
    const found = this.held.get(key);
    if (found) this.put(key, found); // used last, dropped last
    return found ?? null;
  }

  put(key, buffer) {
    this.held.delete(key);
    this.held.set(key, buffer);
    let total = [...this.held.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
    for (const [oldest, { byteLength }] of this.held) {
      if (total <= ROOM_FOR || oldest === key) return;
      this.held.delete(oldest);
      total -= byteLength;
    }
  }
}
