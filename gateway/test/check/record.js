// SPDX-License-Identifier: PostgreSQL
// record.js: what happened in a run, and what was wrong with it.
//
// Every call, answer, push and fault is a line with the milliseconds since the start, by the monotonic clock. The lines
// are kept in memory, the latest LIMIT of them, and are written to build/test/check/ when something was violated.
//
// A violation names its invariant. The first few of each are kept with their evidence, all are counted.

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const LIMIT = 400000;   // lines kept
const EVIDENCE = 5;     // violations of one invariant that are shown

export const INVARIANTS = {
	answer: 'what was answered is what the history has',
	lost: 'no answered message, and no event, is missing from anybody\'s stream',
	repeated: 'nothing comes twice: neither in the history nor, as something new, in a stream',
	order: 'each chat has one order for all, that of its ids',
	chain: 'prev_id of each event is the event before it, also where list_events heals',
	cursor: 'cursors only go forward, and what they stand for has come',
	state: 'snapshot and events give the same state as a fresh snapshot',
	leak: 'who was removed sees nothing of what came after',
	verify: 'chat.verify() finds no damage',
	progress: 'everybody comes to rest: calls are answered, streams become complete',
};

export class Record
{
	constructor()
	{
		this.started = performance.now();
		this.lines = [];
		this.dropped = 0;
		this.counts = {};
		this.checked = Object.fromEntries(Object.keys(INVARIANTS).map(name => [name, 0]));
		this.violations = new Map();
	}

	now() { return performance.now() - this.started; }

	write(who, what, detail)
	{
		if (this.lines.length >= LIMIT)
			this.dropped += this.lines.splice(0, LIMIT / 4).length;
		this.lines.push([Math.round(this.now() * 10) / 10, who, what, detail]);
	}

	count(name, by = 1)
	{
		this.counts[name] = (this.counts[name] ?? 0) + by;
	}

	// Something that an invariant says was looked at.
	check(invariant, by = 1)
	{
		this.checked[invariant] += by;
	}

	violate(invariant, evidence)
	{
		const found = this.violations.get(invariant) ?? [];
		found.push(evidence);
		this.violations.set(invariant, found);
		this.write('checker', `violated: ${invariant}`, evidence);
	}

	// false, and a violation, unless `holds`.
	expect(invariant, holds, evidence)
	{
		this.check(invariant);
		if (!holds)
			this.violate(invariant, evidence());
		return holds;
	}

	get failed() { return this.violations.size > 0; }

	summary()
	{
		const out = Object.entries(this.counts).sort(([a], [b]) => a < b ? -1 : 1).map(([name, count]) => `  ${name}: ${count}`);
		out.push('invariants:');
		for (const [name, meaning] of Object.entries(INVARIANTS))
		{
			const found = this.violations.get(name) ?? [];
			out.push(`  ${found.length ? 'VIOLATED' : 'ok      '} ${name} (${this.checked[name]} checks): ${meaning}`);
		}
		for (const [name, found] of this.violations)
		{
			out.push(`violated: ${name}, ${found.length} times`);
			for (const evidence of found.slice(0, EVIDENCE))
				out.push(`  ${JSON.stringify(evidence)}`);
		}
		return out.join('\n');
	}

	async save(folder, name)
	{
		await mkdir(folder, { recursive: true });
		const path = join(folder, `${name}.jsonl`);
		await writeFile(path, this.lines.map(line => JSON.stringify(line)).join('\n') + '\n');
		return path;
	}
}
