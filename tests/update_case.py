"""What the tests of `update` share, on hosts with cgroup v1 and v2: the command, and claims about files."""

import json


class UpdateClaims:
    """For a class that has oci(), self.name and read(file): the text of a file in the container's cgroup."""

    # What stands in the name of a keyword for the dot of a file's name.
    def file_of(self, keyword):
        return keyword.replace("_", ".")

    def update(self, *options, json_input=None, **more):
        if json_input is not None:
            return self.oci("update", "-r", "-", self.name, input=json.dumps(json_input), **more)
        return self.oci("update", self.name, *options, **more)

    def assert_files(self, **expected):
        found = {name: self.read(self.file_of(name)) for name in expected}
        self.assertEqual(found, {name: str(value) for name, value in expected.items()})

    def assert_updated(self, *options, json_input=None, **expected):
        self.assert_ok(self.update(*options, json_input=json_input))
        self.assert_files(**expected)

    def assert_refused(self, text, *options, json_input=None, **unchanged):
        done = self.update(*options, json_input=json_input)
        self.assert_status(done, 1)
        self.assertIn(text, done.err)
        self.assert_files(**unchanged)
