"""CarRacing-v3 as the task `carracing`, and an expert for it. This file comes after environments.py.

The rules of the task, over Gymnasium's:
- An action is (steering, pedal), each in [-1, 1]: steering as it is, a pedal above 0 is gas, one below 0 the brake.
- In its first second the picture zooms in. A reset lets it pass: 50 steps with no action. Their rewards come with the
  first step's, so that an episode's return is Gymnasium's, whose limit of 1000 steps leaves 950.
- An episode is a success if the lap was finished.
"""

RACING = "mcnn/CarRacing-v3"
ZOOMING = 50  # steps
LIMIT = 1000  # steps, those included


class Pursuit:
    """A scripted expert (pure pursuit) that uses privileged state: the center line of the road, and the car's position, heading
    and speed. It steers toward a point ahead; its speed is limited by the curvature ahead and by the distance to the center line.
    Lengths and speeds are the simulator's; a tile of the road is 3.5 long and 13.3 wide."""

    FASTEST = 90.0
    GRIP = 200.0  # speed squared over a curve's radius, at most
    BRAKING = 60.0  # loss of speed a second that is counted on
    AHEAD, AHEAD_PER_SPEED = 6.0, 0.2  # the point steered for
    STEER, DAMP, PEDAL = 2.5, 0.07, 0.1  # gains: of the angle to the wheels, of the car's turning, of speed
    WHEELBASE = 3.24

    def __init__(self, track):
        import numpy

        self.middle = numpy.array([(x, y) for _, _, x, y in track])
        self.at, self.n = 0, len(track)  # the tile that the car is on
        steps = numpy.roll(self.middle, -1, 0) - self.middle
        self.tile = float(numpy.hypot(*steps.T).mean())
        course = numpy.arctan2(steps[:, 1], steps[:, 0])
        bend = numpy.roll(course, -3) - numpy.roll(course, 3)  # over six tiles
        bend = numpy.abs((bend + numpy.pi) % (2 * numpy.pi) - numpy.pi) / (6 * self.tile)
        self.speed = numpy.minimum(self.FASTEST, numpy.sqrt(self.GRIP / numpy.maximum(bend, 1e-6)))
        for k in range(2 * self.n - 1, -1, -1):  # twice round, since the road closes
            after = self.speed[(k + 1) % self.n]
            allowed = (after * after + 2 * self.BRAKING * self.tile) ** 0.5
            self.speed[k % self.n] = min(self.speed[k % self.n], allowed)

    def action(self, car):
        """(steering, pedal) for the car as it is, once for every step: its tile is looked for near the last one."""
        import math

        import numpy

        place, angle = numpy.array(car.hull.position), car.hull.angle
        near = (self.at + numpy.arange(-6, 25)) % self.n
        aside = numpy.hypot(*(self.middle[near] - place).T)
        self.at = int(near[aside.argmin()])
        speed = math.hypot(*car.hull.linearVelocity)
        ahead = max(2, round((self.AHEAD + self.AHEAD_PER_SPEED * speed) / self.tile))
        to = self.middle[(self.at + ahead) % self.n] - place
        right = float(to[0] * math.cos(angle) + to[1] * math.sin(angle))
        forward = float(to[1] * math.cos(angle) - to[0] * math.sin(angle))
        bearing = math.atan2(right, forward)
        wheels = math.atan2(2 * self.WHEELBASE * math.sin(bearing), math.hypot(right, forward))
        steering = self.STEER * wheels + self.DAMP * car.hull.angularVelocity
        wanted = self.speed[(self.at + 1) % self.n] / (1 + 0.5 * (float(aside.min()) / 6.67) ** 2)
        pedal = self.PEDAL * (wanted - speed)
        if abs(bearing) > 0.3:
            pedal = min(pedal, 0.2)  # more spins the rear wheels, and the car
        return numpy.array([min(max(steering, -1.0), 1.0), min(max(pedal, -0.8), 1.0)])


def make_racing(**options):
    """The environment, as gymnasium.register takes it."""
    import gymnasium
    import numpy
    from gymnasium.envs.box2d import car_racing

    class Racing(car_racing.CarRacing):
        blind = False  # skips rendering

        def __init__(self, **options):
            super().__init__(**options)
            self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), numpy.float32)
            unit, cells = car_racing.GRASS_DIM, range(-20, 20, 2)
            corners = ((unit, 0), (0, 0), (0, unit), (unit, unit))
            grass = [[(unit * x + dx, unit * y + dy) for dx, dy in corners] for x in cells for y in cells]
            self.grass = Polygons([(polygon, self.grass_color) for polygon in grass])

        def reset(self, *, seed=None, options=None):
            self.blind, self.pursuit = True, None
            super().reset(seed=seed, options=options)
            self.early = sum(super(Racing, self).step(numpy.zeros(3, numpy.float32))[1] for _ in range(ZOOMING))
            self.road_near = Polygons(self.road_poly)
            self.blind = False
            self.state = self._render("state_pixels")
            return self.state, {"success": False}

        def step(self, action):
            if action is None:  # from within Gymnasium's own reset
                return super().step(action)
            steering, pedal = (float(a) for a in action)
            three = numpy.array([steering, max(pedal, 0.0), max(-pedal, 0.0)], numpy.float32)
            observation, reward, terminated, truncated, info = super().step(three)
            reward, self.early = reward + self.early, 0.0
            return observation, reward, terminated, truncated, {**info, "success": info.get("lap_finished", False)}

        def expert_action(self):
            """The expert's action in the present state: called from the first state on, once in each."""
            if self.pursuit is None:
                self.pursuit = Pursuit(self.track)
            return self.pursuit.action(self.car)

        def _render(self, mode):
            return None if self.blind else super()._render(mode)

        def _render_road(self, zoom, translation, angle):
            """The same picture as Gymnasium's, which transforms every corner of 700 polygons although only 20 are visible."""
            field = car_racing.PLAYFIELD
            field = [(field, field), (field, -field), (-field, -field), (-field, field)]
            self._draw_colored_polygon(self.surf, field, self.bg_color, zoom, translation, angle, clip=False)
            # The car is in the middle of the picture's width, at a quarter of its height.
            radius = numpy.hypot(car_racing.WINDOW_W / 2, car_racing.WINDOW_H * 3 / 4) / zoom
            for polygons in (self.grass, self.road_near):
                for polygon, color in polygons.within(radius, self.car.hull.position):
                    color = [int(c) for c in color]
                    self._draw_colored_polygon(self.surf, polygon, color, zoom, translation, angle)

    return Racing(**options)


class Polygons:
    """Colored polygons, by their first corner."""

    def __init__(self, polygons):
        import numpy

        corners = numpy.array([[tuple(corner) for corner in polygon] for polygon, _ in polygons])
        self.all, self.first = polygons, corners[:, 0]
        self.extent = numpy.linalg.norm(corners - corners[:, :1], axis=2).max()

    def within(self, reach, place):
        """Those that may have a point within `reach` of a place, in order."""
        import numpy

        near = numpy.hypot(*(self.first - numpy.array(place)).T) <= reach + self.extent
        return (self.all[k] for k in numpy.flatnonzero(near))


def register_racing():
    import gymnasium

    gymnasium.register(RACING, make_racing, max_episode_steps=LIMIT - ZOOMING, disable_env_checker=True)
