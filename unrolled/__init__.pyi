import numerics as numerics
import theory as theory
from numerics import *
