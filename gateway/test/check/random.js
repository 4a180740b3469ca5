// SPDX-License-Identifier: PostgreSQL
// random.js: numbers that a seed decides, so that a run can be had again: random('nemesis') of one seed is the same
// stream in each run, whatever the other streams are asked for.

export class Random
{
	constructor(seed, name)
	{
		this.state = 2166136261;
		for (const character of `${seed}/${name}`)
			this.state = Math.imul(this.state ^ character.codePointAt(0), 16777619) >>> 0;
	}

	// mulberry32: 0 ≤ x < 1
	next()
	{
		this.state = (this.state + 0x6d2b79f5) >>> 0;
		let x = this.state;
		x = Math.imul(x ^ x >>> 15, x | 1);
		x ^= x + Math.imul(x ^ x >>> 7, x | 61);
		return ((x ^ x >>> 14) >>> 0) / 4294967296;
	}

	between(low, high) { return low + Math.floor(this.next() * (high - low + 1)); }

	chance(probability) { return this.next() < probability; }

	pick(list) { return list[Math.floor(this.next() * list.length)]; }

	shuffle(list)
	{
		const shuffled = [...list];
		for (let i = shuffled.length - 1; i > 0; i--)
		{
			const other = this.between(0, i);
			[shuffled[i], shuffled[other]] = [shuffled[other], shuffled[i]];
		}
		return shuffled;
	}

	// A key of `weights` ({word: weight}).
	weighted(weights)
	{
		let rest = this.next() * Object.values(weights).reduce((sum, weight) => sum + weight, 0);
		for (const [word, weight] of Object.entries(weights))
			if ((rest -= weight) < 0)
				return word;
		return Object.keys(weights)[0];
	}
}
