/* Plays both tracks as one: the same place, the same speed, each with its own switch. Without sound it only keeps the place. */

const DRIFT_S = 0.06; // further apart is heard as an echo

class Player {
  constructor() {
    this.at_ms = 0;
    this.listeners = [];
    this.sounds = ["user", "hugo"].map((who) => document.getElementById(`audio-${who}`)).filter(Boolean);
    this.lead = this.sounds[0] || null;
    this.until_ms = null;
    if (!this.lead) return;
    this.bind();
    const tick = () => {
      if (this.playing) this.follow();
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  get playing() {
    return Boolean(this.lead) && !this.lead.paused;
  }

  on(listener) {
    this.listeners.push(listener);
  }

  tell() {
    for (const listener of this.listeners) listener(this.at_ms, this.playing);
  }

  /** Go to a moment without changing whether it plays. */
  seek(ms) {
    this.at_ms = Math.min(Math.max(0, ms), data.length);
    for (const sound of this.sounds) sound.currentTime = this.at_ms / 1000;
    this.tell();
  }

  /** Go to a moment and play from there. */
  playFrom(ms) {
    this.seek(ms);
    this.play();
  }

  async play() {
    if (!this.lead) return;
    if (this.at_ms >= data.length - 100) this.seek(0);
    await Promise.allSettled(this.sounds.map((sound) => sound.play()));
    this.tell();
  }

  pause() {
    for (const sound of this.sounds) sound.pause();
    this.tell();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  /** While it plays: take over the leader's place, and bring the other track there where it has drifted off. */
  follow() {
    this.at_ms = this.lead.currentTime * 1000;
    for (const sound of this.sounds.slice(1)) {
      if (Math.abs(sound.currentTime - this.lead.currentTime) > DRIFT_S) sound.currentTime = this.lead.currentTime;
      if (sound.paused && !sound.ended) sound.play();
    }
    this.tell();
  }

  bind() {
    const get = (id) => document.getElementById(id);
    get("play").addEventListener("click", () => this.toggle());
    get("position").addEventListener("input", (event) => this.seek(Number(event.target.value)));
    get("speed").addEventListener("change", (event) => {
      for (const sound of this.sounds) sound.playbackRate = Number(event.target.value);
    });
    for (const who of ["user", "hugo"]) {
      const sound = get(`audio-${who}`);
      const box = get(`hear-${who}`);
      if (!sound) box.disabled = true;
      else box.addEventListener("change", () => (sound.muted = !box.checked));
    }
    this.lead.addEventListener("ended", () => this.pause());
    this.on((ms, playing) => {
      get("now").textContent = clock(ms);
      const position = get("position");
      if (document.activeElement !== position || playing) position.value = ms;
      position.setAttribute("aria-valuetext", clock(ms));
      get("play").querySelector("path").setAttribute("d", playing ? "M6.5 5h4v14h-4zM13.5 5h4v14h-4z" : "M7 4.5v15l12.5-7.5z");
      get("play").setAttribute("aria-label", data.words[playing ? "player.pause" : "player.play"]);
    });
  }
}

const player = new Player();
